// Weights between PyTorch in Python and us, both ways. Skipped where Python has
// no torch (Debian: python3-torch).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/weights/weights_file.h"
#include "nlohmann/json.hpp"
#include "worker/init/initial_weights.h"
#include "worker/training/tensor_io.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

int RunProgram(const std::vector<std::string>& argv, bool quiet = false) {
  SubprocessOptions options;
  options.argv = argv;
  if (!quiet) options.descriptors = {{1, 1}, {2, 2}};
  const auto process = Subprocess::Spawn(options);
  return process.ok() ? (*process)->Wait().exit_status : -1;
}

// A Python that has torch, or nothing: Debian's own, then the first in PATH.
const std::string& PythonWithTorch() {
  static const std::string& python = *new std::string([] {
    for (const char* candidate : {"/usr/bin/python3", "python3"}) {
      if (RunProgram({candidate, "-c", "import torch"}, true) == 0)
        return candidate;
    }
    return "";
  }());
  return python;
}

class PythonTorchTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (PythonWithTorch().empty()) {
      GTEST_SKIP() << "no Python here has torch (apt-get install "
                      "python3-torch)";
    }
    folder_ = *MakeTemporaryDirectory("torch");
  }
  void TearDown() override {
    if (folder_.empty()) return;
    EXPECT_TRUE(RemoveRecursively(folder_).ok());
  }
  int RunScript(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {PythonWithTorch(), FOLDFARM_SOURCE_DIR
                                         "/tests/worker/init/torch_check.py"});
    return RunProgram(arguments);
  }

  std::string folder_;
};

TEST_F(PythonTorchTest, WhatTorchSavesIsReadBitForBit) {
  ASSERT_EQ(RunScript({"save", folder_}), 0);
  const Json digests = ParseJson(*ReadFile(JoinPath(folder_, "digests.json")));
  for (const auto& [name, tensors] : digests.items()) {
    for (const char* ending : {".pt", ".pth"}) {
      SCOPED_TRACE(name + ending);
      const auto file = WeightsFile::Open(JoinPath(folder_, name + ending));
      ASSERT_TRUE(file.ok()) << file.status();
      EXPECT_EQ((*file)->tensors().size(), tensors.size());
      for (const auto& [key, digest] : tensors.items()) {
        ASSERT_EQ((*file)->tensors().count(key), 1u) << key;
        const auto bytes = (*file)->Read(key);
        ASSERT_TRUE(bytes.ok()) << bytes.status();
        EXPECT_EQ(Sha256Hex(*bytes), digest.get<std::string>()) << key;
      }
    }
  }

  // A whole model is code as much as data.
  const absl::Status whole =
      WeightsFile::Open(JoinPath(folder_, "whole.pt")).status();
  EXPECT_THAT(std::string(whole.message()), HasSubstr("__main__.ResNet"));

  // And into a network of ours.
  ResnetOptions options;
  options.layers = {1, 1};
  options.widths = {4, 8};
  const auto model = *BuildModel(options, 3);
  for (const char* name : {"state.pt", "state.pth", "checkpoint.pt"}) {
    const auto report =
        LoadInitialWeights(JoinPath(folder_, name), InitOptions(), *model);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(absl::StrJoin(*report, "\n"), HasSubstr("random start: fc."));
  }
}

// Trained weights, as the trainer leaves them and `foldfarm export` hands them
// out, go into a module of the same names, strictly, and mean the same there.
TEST_P(PythonTorchTest, OurWeightsLoadStrictlyAndGiveTheSameLogits) {
  const std::string name = GetParam();
  ArchOptions arch;
  if (name == "resnet") {
    ResnetOptions options;
    options.layers = {1, 1};
    options.widths = {4, 8};
    arch = options;
  } else {
    RnnOptions options;
    options.cell = name == "gru" ? RnnCell::kGru : RnnCell::kLstm;
    options.hidden = 8;
    options.layers = 2;
    arch = options;
  }
  torch::manual_seed(1);
  const auto model = *BuildModel(arch, 3);
  const at::NoGradGuard no_grad;
  const at::Tensor images = at::rand({4, 100, 80});
  for (at::Tensor parameter : model->module().parameters()) {
    if (parameter.dim() == 1) parameter.uniform_(0.5, 1.5);
  }
  model->Forward(images);  // In training: moves BatchNorm's statistics.
  model->module().eval();
  const NamedTensors check = {{"images", images},
                              {"logits", model->Forward(images)}};
  ASSERT_TRUE(WriteTensors(JoinPath(folder_, "weights.safetensors"),
                           NamedWeights(model->module()), {{"job", "x"}})
                  .ok());
  ASSERT_TRUE(
      WriteTensors(JoinPath(folder_, "check.safetensors"), check, {}).ok());
  EXPECT_EQ(RunScript({"load", folder_, name}), 0);
}
INSTANTIATE_TEST_SUITE_P(All, PythonTorchTest,
                         ::testing::Values("resnet", "gru", "lstm"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace foldfarm
