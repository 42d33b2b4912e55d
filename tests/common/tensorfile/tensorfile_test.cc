// safetensors files: written, read, and refused when malformed.
#include "common/tensorfile/tensorfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A file of this header, the size field right, followed by `data`.
std::string FileOf(const std::string& header, const std::string& data) {
  std::string file(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(file.data(), &size, 8);
  return file + header + data;
}

std::string Error(const std::string& bytes) {
  const auto file = TensorFile::Parse(bytes, "x.safetensors");
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

TensorFileWriter Sample() {
  TensorFileWriter writer;
  writer.SetMetadata("format", "test");
  writer.AddU8("bytes", {3}, std::vector<uint8_t>{1, 2, 3});
  writer.AddF32("weights", {2, 2}, std::vector<float>{1, 2, 3, 4});
  writer.AddF64("a_double", {1}, std::vector<double>{0.5});
  writer.AddI64("counts", {2}, std::vector<int64_t>{-7, 7});
  writer.AddF32("nothing", {0, 5}, {});
  return writer;
}

TEST(TensorFileTest, WhatIsWrittenIsRead) {
  const auto file = TensorFile::Parse(Sample().Serialize(), "x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(*(*file)->F32("weights", {2, -1}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(*(*file)->F64("a_double", {1}), ElementsAre(0.5));
  EXPECT_THAT(*(*file)->I64("counts", {-1}), ElementsAre(-7, 7));
  EXPECT_THAT(*(*file)->U8("bytes", {3}), ElementsAre(1, 2, 3));
  EXPECT_THAT(*(*file)->F32("nothing", {0, 5}), ElementsAre());
  EXPECT_EQ(*(*file)->Metadata("format"), "test");
  EXPECT_EQ((*file)->tensors().size(), 5u);
}

TEST(TensorFileTest, AMappedFileReadsTheSame) {
  const std::string folder = *MakeTemporaryDirectory("tensorfile");
  const std::string path = JoinPath(folder, "t.safetensors");
  ASSERT_TRUE(WriteFileAtomically(path, Sample().Serialize()).ok());
  const auto file = TensorFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(*(*file)->F32("weights", {2, 2}), ElementsAre(1, 2, 3, 4));
  const auto metadata = TensorFile::ReadMetadata(path);
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_EQ(metadata->at("format"), "test");

  EXPECT_EQ(TensorFile::Open(JoinPath(folder, "gone")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(TensorFile::Open(folder).status().code(),
            absl::StatusCode::kInvalidArgument);
  RemoveRecursively(folder).IgnoreError();
}

TEST(TensorFileTest, TheDataBeginsAlignedAndWideTypesComeFirst) {
  const std::string bytes = Sample().Serialize();
  uint64_t header_size;
  std::memcpy(&header_size, bytes.data(), 8);
  EXPECT_EQ((8 + header_size) % 64, 0u);
  const std::string header = bytes.substr(8, header_size);
  EXPECT_LT(header.find("counts"), header.find("nothing"));
  EXPECT_LT(header.find("weights"), header.find("bytes"));
  EXPECT_EQ(bytes, Sample().Serialize());
}

TEST(TensorFileTest, PiecesAreWrittenLikeOneArray) {
  const std::string first(8, 'a');
  const std::string second(4, 'b');
  TensorFileWriter pieces;
  pieces.AddBorrowed("x", DType::kF32, {3}, {first, second});
  TensorFileWriter whole;
  whole.Add("x", DType::kF32, {3}, first + second);
  EXPECT_EQ(pieces.Serialize(), whole.Serialize());
}

TEST(TensorFileTest, TheSinksErrorEndsWriting) {
  int calls = 0;
  const absl::Status status =
      Sample().SerializeTo([&](absl::string_view) -> absl::Status {
        ++calls;
        return absl::ResourceExhaustedError("disk full");
      });
  EXPECT_EQ(status.message(), "disk full");
  EXPECT_EQ(calls, 1);
}

TEST(TensorFileTest, AnUnalignedTensorIsReadAllTheSame) {
  const float values[] = {1.5f, -2.5f};
  std::string data(1, 'x');
  data.append(reinterpret_cast<const char*>(values), sizeof(values));
  const auto file = TensorFile::Parse(
      FileOf(R"({"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
             R"("f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
             data),
      "x");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto f = (*file)->F32("f", {2});
  ASSERT_TRUE(f.ok()) << f.status();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(f->data()) % sizeof(float), 0u);
  EXPECT_THAT(*f, ElementsAre(1.5f, -2.5f));
}

TEST(TensorFileTest, AScalarHasNoDimensions) {
  const auto file = TensorFile::Parse(
      FileOf(R"({"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})",
             std::string(8, '\0')),
      "x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(*(*file)->I64("n", {}), ElementsAre(0));
}

TEST(TensorFileTest, AnotherDtypeOrShapeIsNamed) {
  const auto file = TensorFile::Parse(Sample().Serialize(), "x.safetensors");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->F32("weights", {4, -1}).status().message(),
            "x.safetensors: tensor 'weights' is F32 [2, 2], expected F32 "
            "[4, any]");
  EXPECT_THAT(std::string((*file)->F64("weights", {2, 2}).status().message()),
              HasSubstr("is F32 [2, 2], expected F64 [2, 2]"));
  EXPECT_EQ((*file)->F32("bias", {2}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ((*file)->Metadata("nope").status().message(),
            "x.safetensors: no metadata 'nope'");
}

TEST(TensorFileTest, AFileTooShortForASizeIsRefused) {
  EXPECT_THAT(Error("abc"), HasSubstr("it has 3 bytes, expected at least 8"));
}

TEST(TensorFileTest, AHeaderLargerThanTheFileIsRefused) {
  EXPECT_THAT(Error(std::string(8, '\xFF') + "{}"),
              HasSubstr("the header claims 18446744073709551615 bytes"));
  EXPECT_THAT(Error(std::string("\x03\0\0\0\0\0\0\0{}", 10)),
              HasSubstr("the header claims 3 bytes, the file has 10"));
}

TEST(TensorFileTest, AHeaderNestedDeeplyIsRefused) {
  EXPECT_THAT(Error(FileOf(std::string(1'000'000, '['), "")),
              HasSubstr("nested too deeply"));
}

struct BadHeader {
  const char* name;
  const char* header;  // Followed by 8 bytes of data.
  const char* message;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefusedAndSaysWhy) {
  EXPECT_THAT(Error(FileOf(GetParam().header, "01234567")),
              AllOf(HasSubstr("x.safetensors: not a valid safetensors file"),
                    HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadHeaderTest,
    ::testing::Values(
        BadHeader{"NoJson", "{", "no JSON object"},
        BadHeader{"NoObject", "[1]", "no JSON object"},
        BadHeader{"NotUtf8", "{\"\xFF\":1}", "no JSON object"},
        BadHeader{"EntryIsNoObject", R"({"t":1})", "tensor 't': expected"},
        BadHeader{"ShapeMissing", R"({"t":{"dtype":"U8"}})", "expected an ob"},
        BadHeader{"UnknownDtype",
                  R"({"t":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})",
                  "dtype 'C64', expected BOOL"},
        BadHeader{"NegativeSize",
                  R"({"t":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}})",
                  "shape is not"},
        BadHeader{"FractionalSize",
                  R"({"t":{"dtype":"U8","shape":[8.0],"data_offsets":[0,8]}})",
                  "shape is not"},
        BadHeader{"ShapeOverflows",
                  R"({"t":{"dtype":"F64","shape":[4294967296,4294967296],)"
                  R"("data_offsets":[0,8]}})",
                  "takes more than 2^63"},
        BadHeader{"SizeBeyondInt64",
                  R"({"t":{"dtype":"U8","shape":[18446744073709551615],)"
                  R"("data_offsets":[0,8]}})",
                  "shape is not"},
        BadHeader{"ShapeAgainstOffsets",
                  R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
                  "hold 8 bytes, but F32 [3] takes 12"},
        BadHeader{"OffsetsReversed",
                  R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})",
                  "data_offsets are not"},
        BadHeader{"OffsetsOutside",
                  R"({"t":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})",
                  "ends at 9, but the data has 8 bytes"},
        BadHeader{"Overlap",
                  R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
                  R"("b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})",
                  "tensors overlap at data byte 3"},
        BadHeader{"Hole",
                  R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                  R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                  "tensors leave a hole at data byte 4"},
        BadHeader{"BytesLeft",
                  R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                  "4 bytes follow the last tensor"},
        BadHeader{"NameTwice",
                  R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
                  R"("t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
                  "tensor 't' twice"},
        BadHeader{"MetadataNoString", R"({"__metadata__":{"a":1}})",
                  "__metadata__ 'a' is no string"}),
    [](const auto& info) { return info.param.name; });

TEST(TensorFileTest, DamagedFilesAreRefusedOrReadButNeverCrash) {
  const std::string whole = Sample().Serialize();
  std::mt19937 random(1);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 3; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    const auto file = TensorFile::Parse(bytes, "x");
    if (!file.ok()) continue;
    size_t sum = 0;
    for (const auto& [name, tensor] : (*file)->tensors()) {
      for (const char c : tensor.bytes) sum += static_cast<size_t>(c);
    }
    EXPECT_NE(sum, 1u << 31);
  }
}

}  // namespace
}  // namespace foldfarm
