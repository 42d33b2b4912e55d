#include "worker/init/initial_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "tests/common/weights/made_weights.h"
#include "worker/training/tensor_io.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ResnetOptions Tiny(ClassifierForm form) {
  ResnetOptions options;
  options.layers = {1, 1};
  options.widths = {4, 8};
  options.form = form;
  return options;
}

class InitialWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("init");
    init_.weights = "made";
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::string Path() const { return JoinPath(folder_, "init.weights"); }
  static std::shared_ptr<Model> Build(const ArchOptions& options,
                                      uint64_t seed = 1) {
    torch::manual_seed(seed);
    return *BuildModel(options, 3);
  }
  static std::map<std::string, at::Tensor> Tensors(Model& model) {
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [name, tensor] : NamedWeights(model.module())) {
      tensors[name] = tensor;
    }
    return tensors;
  }

  // A backbone as timm would save it, out of a network of ours with other
  // weights: three channels, 1000 classes, no "base_model.".
  std::vector<MadeTensor> TimmFile() {
    std::vector<MadeTensor> file;
    other_ = Build(Tiny(ClassifierForm::kSimpleCls3), 2);
    for (const auto& [name, tensor] : Tensors(*other_)) {
      MadeTensor made{name.substr(11), tensor.sizes().vec(), {}};
      if (made.name.ends_with("num_batches_tracked")) continue;
      if (made.name == "fc.weight") made.shape = {1000, 8};
      if (made.name == "fc.bias") made.shape = {1000};
      const int64_t numel = c10::multiply_integers(made.shape);
      const at::Tensor flat = tensor.contiguous().view(-1);
      for (int64_t i = 0; i < numel; ++i) {
        made.values.push_back(flat[i % flat.numel()].item<float>());
      }
      file.push_back(std::move(made));
    }
    return file;
  }
  absl::StatusOr<std::vector<std::string>> Load(
      const std::vector<MadeTensor>& file, Model& model) {
    WriteZip(Path(), MadeMembers(file, "resnet/"));
    return LoadInitialWeights(Path(), init_, model);
  }
  std::string Refusal(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("weights made"));
    return std::string(status.message());
  }

  std::string folder_;
  InitOptions init_;
  std::shared_ptr<Model> other_;
};

TEST_F(InitialWeightsTest, BackboneOfTimmStartsOurNetwork) {
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  const at::Tensor fc = Tensors(*model).at("fc.weight").clone();
  const auto report = Load(TimmFile(), *model);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto theirs = Tensors(*other_);
  for (const auto& [name, tensor] : Tensors(*model)) {
    if (!name.starts_with("base_model.")) continue;
    if (name.ends_with("num_batches_tracked")) continue;
    at::Tensor expected = theirs.at(name);
    // One channel takes the sum over the three of the file.
    if (name == "base_model.conv1.weight") {
      expected = expected.sum(at::IntArrayRef({1}), true);
    }
    EXPECT_TRUE(at::equal(tensor, expected)) << name;
  }
  EXPECT_TRUE(at::equal(Tensors(*model).at("fc.weight"), fc));
  EXPECT_THAT(absl::StrJoin(*report, "\n"),
              AllOf(HasSubstr("base_model.NAME here is NAME there"),
                    HasSubstr("conv1.weight adapted from 3 channels"),
                    HasSubstr("fc.bias (the network has no such tensor)"),
                    HasSubstr("random start: fc.weight, fc.bias")));
}

TEST_F(InitialWeightsTest, ThreeChannelsAreTakenAsTheyAre) {
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls3));
  ASSERT_TRUE(Load(TimmFile(), *model).ok());
  EXPECT_TRUE(at::equal(Tensors(*model).at("base_model.conv1.weight"),
                        Tensors(*other_).at("base_model.conv1.weight")));
}

TEST_F(InitialWeightsTest, OneChannelIsRepeatedToThreeWithTheSameSum) {
  std::vector<MadeTensor> file = TimmFile();
  for (MadeTensor& tensor : file) {
    if (tensor.name != "conv1.weight") continue;
    tensor.shape[1] = 1;
    tensor.values.resize(tensor.values.size() / 3);
  }
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls3));
  ASSERT_TRUE(Load(file, *model).ok());
  const at::Tensor weight = Tensors(*model).at("base_model.conv1.weight");
  const at::Tensor theirs =
      Tensors(*other_).at("base_model.conv1.weight").reshape(-1);
  EXPECT_TRUE(at::allclose(weight.sum(at::IntArrayRef({1})).reshape(-1),
                           theirs.narrow(0, 0, weight.numel() / 3), 1e-5,
                           1e-7));
  EXPECT_TRUE(at::equal(weight.select(1, 0), weight.select(1, 2)));
}

TEST_F(InitialWeightsTest, ExcludedTensorsKeepTheirRandomStart) {
  init_.exclude = {"layer2."};
  init_.min_loaded = 0.1;
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  const std::string name = "base_model.layer2.0.conv1.weight";
  const at::Tensor before = Tensors(*model).at(name).clone();
  const auto report = Load(TimmFile(), *model);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(at::equal(Tensors(*model).at(name), before));
  EXPECT_THAT(absl::StrJoin(*report, "\n"), HasSubstr("(excluded)"));
}

// Other widths of numbers, as published files have them.
TEST_F(InitialWeightsTest, HalfBfloatAndDoubleBecomeFloat) {
  RnnOptions options;
  options.hidden = 4;
  options.layers = 1;
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const auto source = Build(options, 2);
    const auto model = Build(options);
    TensorFileWriter writer;
    const DType dtype = type == at::kHalf       ? DType::kF16
                        : type == at::kBFloat16 ? DType::kBF16
                                                : DType::kF64;
    for (const auto& [name, tensor] : Tensors(*source)) {
      const at::Tensor values = tensor.to(type).contiguous();
      writer.Add(name, dtype, values.sizes().vec(),
                 absl::string_view(static_cast<const char*>(values.data_ptr()),
                                   values.nbytes()));
    }
    ASSERT_TRUE(WriteFileAtomically(Path(), writer.Serialize()).ok());
    const auto report = LoadInitialWeights(Path(), init_, *model);
    ASSERT_TRUE(report.ok()) << report.status();
    for (const auto& [name, tensor] : Tensors(*model)) {
      EXPECT_TRUE(
          at::equal(tensor, Tensors(*source).at(name).to(type).to(at::kFloat)))
          << name;
    }
  }
}

TEST_F(InitialWeightsTest, AnotherArchitectureIsRefusedWithNamesOfBothSides) {
  RnnOptions rnn;
  rnn.hidden = 4;
  const auto model = Build(rnn);
  EXPECT_THAT(Refusal(Load(TimmFile(), *model).status()),
              AllOf(HasSubstr("0 % of the network's values"),
                    HasSubstr("at least 50 % (init.min_loaded)"),
                    HasSubstr("lstm.weight_ih_l0 [12, 101]"),
                    HasSubstr("bn1.bias [4]")));
}

TEST_F(InitialWeightsTest, LessThanAskedForIsRefusedAndChangesNothing) {
  init_.min_loaded = 0.99;
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  const at::Tensor before =
      Tensors(*model).at("base_model.conv1.weight").clone();
  Refusal(Load(TimmFile(), *model).status());
  EXPECT_TRUE(at::equal(Tensors(*model).at("base_model.conv1.weight"), before));
}

TEST_F(InitialWeightsTest, AFormatThatIsNotTheFilesIsRefused) {
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  init_.format = WeightsFormat::kSafetensors;
  EXPECT_THAT(Refusal(Load(TimmFile(), *model).status()),
              HasSubstr("is a pytorch file, but init.format says safetensors"));
  init_.format = WeightsFormat::kPytorch;
  EXPECT_TRUE(Load(TimmFile(), *model).ok());
}

TEST_F(InitialWeightsTest, ValuesThatAreNoNumbersAreRefused) {
  std::vector<MadeTensor> file = TimmFile();
  file.back().values[0] = std::numeric_limits<float>::quiet_NaN();
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  EXPECT_THAT(Refusal(Load(file, *model).status()),
              HasSubstr(absl::StrCat("tensor ", file.back().name)));
}

TEST_F(InitialWeightsTest, TruncatedAndHostileFilesAreRefused) {
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  ASSERT_TRUE(Load(TimmFile(), *model).ok());
  const std::string bytes = *ReadFile(Path());
  ASSERT_TRUE(
      WriteFileAtomically(Path(), bytes.substr(0, bytes.size() / 2)).ok());
  EXPECT_THAT(Refusal(LoadInitialWeights(Path(), init_, *model).status()),
              HasSubstr("cut short"));
  WriteZip(Path(), {{"x/data.pkl",
                     MadePickle().Global("os", "system").Raw(")R").Done()}});
  EXPECT_THAT(Refusal(LoadInitialWeights(Path(), init_, *model).status()),
              HasSubstr("os.system"));
}

// The worker's fault, not the configuration's: another attempt may have it.
TEST_F(InitialWeightsTest, AMissingFileIsInternal) {
  const auto model = Build(Tiny(ClassifierForm::kSimpleCls));
  EXPECT_EQ(LoadInitialWeights(Path(), init_, *model).status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace foldfarm
