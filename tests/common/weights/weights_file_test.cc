// Weights of others: what is read, and what is refused.
#include "common/weights/weights_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/weights/pickle.h"
#include "common/weights/state_dict.h"
#include "tests/common/weights/weights_file_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<MadeTensor>& TwoTensors() {
  static const auto& tensors = *new std::vector<MadeTensor>{
      {"conv1.weight", {2, 3}, {1, 2, 3, 4, 5, 6}}, {"bn1.bias", {2}, {7, 8}}};
  return tensors;
}

void ExpectTwoTensors(WeightsFile& file) {
  EXPECT_EQ(file.container(), WeightsContainer::kPytorch);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors().at("conv1.weight").dtype, DType::kF32);
  EXPECT_THAT(file.tensors().at("conv1.weight").shape, ElementsAre(2, 3));
  EXPECT_EQ(*file.Read("conv1.weight"), FloatBytes({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(*file.Read("bn1.bias"), FloatBytes({7, 8}));
}

TEST_F(WeightsFileTest, ReadsTheZipFormUnderAnyPrefix) {
  for (const char* prefix : {"archive/", "resnet34/", ""}) {
    const auto file = OpenZip(MadeMembers(TwoTensors(), prefix));
    ASSERT_TRUE(file.ok()) << file.status();
    ExpectTwoTensors(**file);
  }
}

TEST_F(WeightsFileTest, ReadsTheFormFromBeforeZip) {
  const auto file = OpenBytes(MadeLegacy(TwoTensors()));
  ASSERT_TRUE(file.ok()) << file.status();
  ExpectTwoTensors(**file);
}

TEST_F(WeightsFileTest, ReadsSafetensors) {
  TensorFileWriter writer;
  writer.AddF32("fc.weight", {1, 2}, {1.5f, 2.5f});
  writer.Add("fc.bias", DType::kF16, {1}, absl::string_view("\0\x3c", 2));
  const auto file = OpenBytes(writer.Serialize());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->container(), WeightsContainer::kSafetensors);
  EXPECT_EQ((*file)->tensors().at("fc.bias").dtype, DType::kF16);
  EXPECT_THAT(Floats(**file, "fc.weight"), ElementsAre(1.5f, 2.5f));
}

TEST_F(WeightsFileTest, StateDictIsFoundAmongOtherThings) {
  for (const char* key : {"state_dict", "model"}) {
    const auto file =
        OpenPickle(MadePickle()
                       .Raw("}(")
                       .Text("epoch")
                       .Int(3)
                       .Text("args")
                       .Global("argparse", "Namespace")
                       .Raw(")\x81}(")
                       .Text("lr")
                       .Raw(absl::string_view("G\x3f\xf0\0\0\0\0\0\0", 9))
                       .Raw("ub")
                       .Text(key)
                       .Raw("}(")
                       .Text("fc.bias")
                       .Tensor("FloatStorage", "0", 12, 0, {2}, {1})
                       .Text("note")
                       .Text("not a tensor")
                       .Raw("uu")
                       .Done());
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->tensors().size(), 1u);
    EXPECT_THAT(Floats(**file, "fc.bias"), ElementsAre(0, 1));
  }
}

TEST_F(WeightsFileTest, ViewsOfAStorageAreGathered) {
  const auto file =
      OpenPickle(MadePickle()
                     .Raw("}(")
                     .Text("transposed")
                     .Tensor("FloatStorage", "0", 12, 1, {2, 3}, {1, 4})
                     .Text("part")
                     .Tensor("FloatStorage", "0", 12, 9, {3}, {1})
                     .Text("reversed axes of one")
                     .Tensor("FloatStorage", "0", 12, 0, {1, 2}, {99, 1})
                     .Text("scalar")
                     .Tensor("FloatStorage", "0", 12, 11, {}, {})
                     .Text("empty")
                     .Tensor("FloatStorage", "0", 12, 0, {0, 7}, {7, 1})
                     .Raw("u")
                     .Done());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "transposed"), ElementsAre(1, 5, 9, 2, 6, 10));
  EXPECT_THAT(Floats(**file, "part"), ElementsAre(9, 10, 11));
  EXPECT_THAT(Floats(**file, "reversed axes of one"), ElementsAre(0, 1));
  EXPECT_THAT(Floats(**file, "scalar"), ElementsAre(11));
  EXPECT_THAT(Floats(**file, "empty"), ElementsAre());
}

TEST_F(WeightsFileTest, ParametersAndSubclassesOfTensorsAreTensors) {
  const std::string view =
      MadePickle().Tensor("FloatStorage", "0", 12, 0, {2}, {1}).Done();
  const std::string tensor = view.substr(2, view.size() - 3);
  const auto file =
      OpenPickle(MadePickle()
                     .Raw("}(")
                     .Text("parameter")
                     .Global("torch._utils", "_rebuild_parameter")
                     .Raw("(")
                     .Raw(tensor)
                     .Raw("\x88NtR")
                     .Text("typed")
                     .Global("torch._tensor", "_rebuild_from_type_v2")
                     .Raw("(")
                     .Global("torch._utils", "_rebuild_tensor_v2")
                     .Global("torch.nn.parameter", "Parameter")
                     .Raw("((")
                     .Text("storage")
                     .Global("torch", "FloatStorage")
                     .Text("0")
                     .Text("cpu")
                     .Int(12)
                     .Raw("tQ")
                     .Int(3)
                     .Ints({1})
                     .Ints({1})
                     .Raw("\x89Nt}tR")
                     .Raw("u")
                     .Done());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "parameter"), ElementsAre(0, 1));
  EXPECT_THAT(Floats(**file, "typed"), ElementsAre(3));
}

TEST_F(WeightsFileTest, ItemsOfPython2AreUnderstood) {
  const std::string view =
      MadePickle().Tensor("FloatStorage", "0", 12, 0, {2}, {1}).Done();
  const auto file = OpenPickle(MadePickle()
                                   .Global("collections", "OrderedDict")
                                   .Raw("](](U\x07")
                                   .Raw("fc.bias")
                                   .Raw(view.substr(2, view.size() - 3))
                                   .Raw("ee\x85R")
                                   .Done());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "fc.bias"), ElementsAre(0, 1));
}

TEST_F(WeightsFileTest, ArchivesThatTorchDoesNotWriteAreRefused) {
  EXPECT_THAT(
      std::string(OpenZip({{"readme.txt", "hello"}}).status().message()),
      HasSubstr("no data.pkl"));
  WriteZip(Path(), {{"x/data.pkl", std::string(1000, 'x')}}, true);
  EXPECT_THAT(std::string(WeightsFile::Open(Path()).status().message()),
              HasSubstr("compressed"));
  auto members = MadeMembers(TwoTensors(), "x/");
  members["x/byteorder"] = "big";
  EXPECT_THAT(std::string(OpenZip(members).status().message()),
              HasSubstr("'big'"));
}

TEST_F(WeightsFileTest, DamagedBytesAreFoundByTheirChecksum) {
  WriteZip(Path(), MadeMembers(TwoTensors(), "x/"));
  std::string bytes = *ReadFile(Path());
  bytes[bytes.find(FloatBytes({7, 8}))] ^= 1;
  const auto file = OpenBytes(bytes);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::Status status = (*file)->Read("bn1.bias").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("CRC"));
  EXPECT_TRUE((*file)->Read("conv1.weight").ok());
}

TEST_F(WeightsFileTest, FilesThatAreNoWeightsSayWhatTheySeemToBe) {
  const auto message = [&](const std::string& bytes) {
    const absl::Status status = OpenBytes(bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message(""), HasSubstr("empty"));
  EXPECT_THAT(message("version https://git-lfs.github.com/spec/v1\noid"),
              HasSubstr("Git LFS pointer"));
  EXPECT_THAT(message("<!DOCTYPE html><html>"), HasSubstr("web page"));
  EXPECT_THAT(message("\x89HDF\r\n\x1a\n"), HasSubstr("HDF5"));
  EXPECT_THAT(message("what is this?"), HasSubstr("something else"));
  EXPECT_THAT(message(MadePickle().Int(5).Done()),
              HasSubstr("not one of torch.save"));
  EXPECT_EQ(WeightsFile::Open(folder_ + "/none").status().code(),
            absl::StatusCode::kNotFound);
}

// --- Every possible cut, and many flipped bits: an error or a result, never a
// crash. (Under the address sanitizer: nor a read beyond the end.)

class DamageTest : public WeightsFileTest {
 protected:
  // Reads everything, whatever it is.
  bool ReadsAll(const std::string& bytes) const {
    const auto file = OpenBytes(bytes);
    if (!file.ok()) return false;
    for (const auto& item : (*file)->tensors()) {
      if (!(*file)->Read(item.first).ok()) return false;
    }
    return true;
  }
  void ExpectNoCrash(const std::string& whole) const {
    ASSERT_TRUE(ReadsAll(whole));
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(ReadsAll(whole.substr(0, size))) << size;
    }
    for (size_t i = 0; i < whole.size(); ++i) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        std::string damaged = whole;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        ReadsAll(damaged);
      }
    }
  }
};

TEST_F(DamageTest, ZipFilesCutOrChangedAnywhereNeverCrash) {
  WriteZip(Path(), MadeMembers(TwoTensors(), "x/"));
  ExpectNoCrash(*ReadFile(Path()));
}

TEST_F(DamageTest, LegacyFilesCutOrChangedAnywhereNeverCrash) {
  ExpectNoCrash(MadeLegacy(TwoTensors()));
}

TEST_F(DamageTest, SafetensorsCutOrChangedAnywhereNeverCrash) {
  TensorFileWriter writer;
  for (const MadeTensor& tensor : TwoTensors()) {
    writer.AddF32(tensor.name, tensor.shape, tensor.values);
  }
  ExpectNoCrash(writer.Serialize());
}

// The pickle alone, whose checksum would otherwise hide it.
TEST(PickleDamageTest, PicklesChangedAnywhereNeverCrash) {
  const std::string whole = MadeStateDict(TwoTensors());
  const auto allow_all = [](absl::string_view) { return true; };
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(value);
      const auto tree = ParsePickle(damaged, allow_all, "x");
      if (!tree.ok()) continue;
      (void)StoragesOf(*tree);
      (void)ParseStateDict(*tree, "x");
    }
  }
}

}  // namespace
}  // namespace foldfarm
