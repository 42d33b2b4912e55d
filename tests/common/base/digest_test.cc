#include "common/base/digest.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/files.h"

namespace foldfarm {
namespace {

// FIPS 180-4 and RFC 1321 examples.
constexpr char kSha256Abc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kSha256Empty[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(DigestTest, AgreesWithTheStandards) {
  EXPECT_EQ(Sha256Hex("abc"), kSha256Abc);
  EXPECT_EQ(Sha256Hex(""), kSha256Empty);
  EXPECT_EQ(Md5Hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(DigestTest, PiecesHashAsTheWhole) {
  Hasher hasher = Hasher::Sha256();
  hasher.Update("a");
  hasher.Update("");
  Hasher moved = std::move(hasher);
  moved.Update("bc");
  EXPECT_EQ(moved.FinishHex(), kSha256Abc);
}

TEST(DigestTest, AFileHashesAsItsBytes) {
  const std::string directory = *MakeTemporaryDirectory("digest_test");
  const std::string path = JoinPath(directory, "file");
  const std::string data(3'000'000, 'x');  // More than one read.
  ASSERT_TRUE(WriteFileAtomically(path, data).ok());
  EXPECT_EQ(*Sha256HexOfFile(path), Sha256Hex(data));
  EXPECT_TRUE(
      absl::IsNotFound(Sha256HexOfFile(JoinPath(directory, "no")).status()));
  EXPECT_FALSE(Sha256HexOfFile(directory).ok());
  ASSERT_TRUE(RemoveRecursively(directory).ok());
}

TEST(DigestTest, OnlyALowerCaseHexDigestIsSafeAsAFileName) {
  EXPECT_TRUE(IsSha256Hex(kSha256Abc));
  EXPECT_FALSE(IsSha256Hex("abc"));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
  EXPECT_FALSE(IsSha256Hex("../" + std::string(61, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'a') + "\n"));
}

}  // namespace
}  // namespace foldfarm
