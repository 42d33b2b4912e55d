#include "common/rpc/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/rpc/client_access.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr char kToken[] = "ff_0123456789abcdef";

TEST(TokensTest, AFileHasRolesNamesAndDigests) {
  const auto tokens = ParseTokens(
      absl::StrCat("# who\n\nclient anna sha256:", Sha256Hex(kToken),
                   "\n  worker\tgpu* another-secret-token  # no comment\n"),
      "f");
  EXPECT_THAT(std::string(tokens.status().message()),
              HasSubstr("f:4: has 6 words, expected three"));
  const auto good = ParseTokens(
      absl::StrCat("# who\n\nclient anna sha256:", Sha256Hex(kToken),
                   "\r\n  worker\tgpu* another-secret-token"),
      "f");
  ASSERT_TRUE(good.ok()) << good.status();
  ASSERT_EQ(good->size(), 2u);
  EXPECT_EQ((*good)[0].role, Role::kClient);
  EXPECT_EQ((*good)[0].name, "anna");
  EXPECT_EQ((*good)[0].sha256, Sha256Hex(kToken));
  EXPECT_EQ((*good)[1].role, Role::kWorker);
  EXPECT_EQ((*good)[1].sha256, Sha256Hex("another-secret-token"));
}

TEST(TokensTest, WhatIsWrongIsSaidWithItsLine) {
  const auto error = [](const std::string& text) {
    return std::string(ParseTokens(text, "f").status().message());
  };
  EXPECT_THAT(error("client anna"), HasSubstr("f:1: has 2 words"));
  EXPECT_THAT(error("\nroot anna 0123456789abcdef"),
              HasSubstr("f:2: role is \"root\", expected client, worker"));
  EXPECT_THAT(error("client ../x 0123456789abcdef"), HasSubstr("f:1: name is"));
  EXPECT_THAT(error("client * 0123456789abcdef"), HasSubstr("only a worker's"));
  EXPECT_THAT(error("client a short"), HasSubstr("has 5 characters"));
  EXPECT_THAT(error("client a sha256:12"), HasSubstr("64 lower-case hex"));
  EXPECT_THAT(error("client a 0123456789abcdef\nclient b 0123456789abcdef"),
              HasSubstr("f:2: the token of b stands in line 1 already"));
  EXPECT_THAT(error("# nobody\n"), HasSubstr("holds no token"));
  // The token itself is never quoted.
  EXPECT_THAT(error("client a short"), ::testing::Not(HasSubstr("short")));
}

TEST(TokensTest, AWorkersTokenIsForItsNames) {
  EXPECT_TRUE(MayWorkAs("gpu1", "gpu1"));
  EXPECT_TRUE(MayWorkAs("gpu1", "gpu1-4711"));
  EXPECT_FALSE(MayWorkAs("gpu1", "gpu12"));
  EXPECT_FALSE(MayWorkAs("gpu1", "gpu"));
  EXPECT_FALSE(MayWorkAs("gpu1", ""));
  EXPECT_TRUE(MayWorkAs("gpu*", "gpu12"));
  EXPECT_FALSE(MayWorkAs("gpu*", "cpu1"));
  EXPECT_TRUE(MayWorkAs("*", "anything"));
}

TEST(TokensTest, ATokenIsLongAndNew) {
  EXPECT_TRUE(CheckToken(NewToken()).ok());
  EXPECT_NE(NewToken(), NewToken());
  EXPECT_FALSE(CheckToken("has a space in it").ok());
  EXPECT_FALSE(CheckToken(std::string(1000, 'x')).ok());
}

class TokenStoreTest : public ::testing::Test {
 protected:
  TokenStoreTest()
      : folder_(*MakeTemporaryDirectory("foldfarm-tokens-")),
        path_(JoinPath(folder_, "tokens")) {}
  ~TokenStoreTest() override { RemoveRecursively(folder_).IgnoreError(); }

  void Write(const std::string& text, mode_t mode = 0600) {
    ASSERT_TRUE(WriteFileAtomically(path_, text).ok());
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }

  const std::string folder_;
  const std::string path_;
  FakeClock clock_;
};

TEST_F(TokenStoreTest, AFileThatEverybodyReadsIsRefused) {
  Write("client a 0123456789abcdef\n", 0644);
  const auto store = TokenStore::Open(path_, clock_);
  EXPECT_THAT(std::string(store.status().message()),
              HasSubstr(absl::StrCat("chmod 600 ", path_)));
  EXPECT_THAT(std::string(ReadOneToken(path_).status().message()),
              HasSubstr("chmod 600"));
}

TEST_F(TokenStoreTest, AChangedFileCountsAndABadOneChangesNothing) {
  Write("client a 0123456789abcdef\n");
  auto opened = TokenStore::Open(path_, clock_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  TokenStore& store = **opened;
  EXPECT_TRUE(store.Find("0123456789abcdef").has_value());
  EXPECT_FALSE(store.Find("0123456789abcdeX").has_value());
  EXPECT_FALSE(store.Find("").has_value());

  Write("read-only b fedcba9876543210\n");
  clock_.Advance(absl::Seconds(2));
  EXPECT_FALSE(store.Find("0123456789abcdef").has_value());
  ASSERT_TRUE(store.Find("fedcba9876543210").has_value());
  EXPECT_EQ(store.Find("fedcba9876543210")->role, Role::kReadOnly);

  Write("nonsense\n");
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE(store.Find("fedcba9876543210").has_value());
  EXPECT_THAT(std::string(store.Reload().message()), HasSubstr("tokens:1: "));
  EXPECT_TRUE(store.Find("fedcba9876543210").has_value());
}

TEST_F(TokenStoreTest, WhoseTokenWasTheLastOneIsOutToo) {
  Write("client a 0123456789abcdef\n");
  auto opened = TokenStore::Open(path_, clock_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  // Somebody writes it anew, in place.
  Write("");
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE((*opened)->Find("0123456789abcdef").has_value());
  Write("# nobody\n");
  clock_.Advance(absl::Seconds(2));
  EXPECT_FALSE((*opened)->Find("0123456789abcdef").has_value());
  Write("client b fedcba9876543210\n");
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE((*opened)->Find("fedcba9876543210").has_value());
  // A coordinator that nobody could call does not start.
  Write("# nobody\n");
  EXPECT_FALSE(TokenStore::Open(path_, clock_).ok());
}

TEST(ClientAccessTest, ATokenNeverLeavesTheMachineUnencrypted) {
  ClientAccess access{.token = "0123456789abcdef"};
  EXPECT_TRUE(ToFarmChannel(access, "127.0.0.1:7077").ok());
  EXPECT_TRUE(ToFarmChannel(access, "localhost:7077").ok());
  for (const char* host : {"head:7077", "127.0.0.1.evil.example:7077"}) {
    EXPECT_THAT(std::string(ToFarmChannel(access, host).status().message()),
                HasSubstr("--tls-ca"))
        << host;
  }
  access.insecure = true;
  EXPECT_TRUE(ToFarmChannel(access, "head:7077").ok());
}

TEST(ClientAccessTest, HalfOfAPairIsExplained) {
  EXPECT_THAT(std::string(ToFarmChannel({.tls_ca = "ca", .tls_key = "k"}, "h:1")
                              .status()
                              .message()),
              HasSubstr("--tls-cert and --tls-key go together"));
  EXPECT_THAT(
      std::string(ToFarmChannel({.tls_ca = "/none"}, "h:1").status().message()),
      HasSubstr("--tls-ca: /none"));
}

}  // namespace
}  // namespace foldfarm
