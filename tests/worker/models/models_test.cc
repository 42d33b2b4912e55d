#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "nlohmann/json.hpp"
#include "worker/models/model.h"
#include "worker/training/optimizer.h"
#include "worker/training/tensor_io.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<Model> Build(const ArchOptions& options, int labels = 10) {
  torch::manual_seed(1);
  auto model = BuildModel(options, labels);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

int64_t NumParameters(Model& model) {
  int64_t count = 0;
  for (const at::Tensor& parameter : model.module().parameters()) {
    count += parameter.numel();
  }
  return count;
}

ResnetOptions TinyResnet() {
  ResnetOptions options;
  options.layers = {2, 2, 2, 2};
  options.widths = {16, 32, 64, 128};
  return options;
}

// Parameters counted by PyTorch in networks of these shapes.
struct SizeCase {
  const char* name;
  ArchOptions arch;
  int64_t parameters;
};

std::vector<SizeCase> SizeCases() {
  ResnetOptions cls3 = TinyResnet();
  cls3.form = ClassifierForm::kSimpleCls3;
  ResnetOptions wide_stem;
  wide_stem.layers = {1, 1, 1, 1};
  wide_stem.widths = {12, 24, 48, 96};
  wide_stem.stem_stride = {1, 2};
  RnnOptions gru;
  gru.hidden = 96;
  gru.layers = 2;
  Vit1dOptions vit;
  vit.dim = 192;
  vit.heads = 6;
  SeresnextOptions seresnext;
  seresnext.layers = {1, 1, 1, 1};
  seresnext.planes = {8, 16, 32, 64};
  seresnext.cardinality = 4;
  seresnext.base_width = 32;
  seresnext.stem_width = 16;
  seresnext.form = ClassifierForm::kSimpleCls;
  DpnOptions dpn;
  dpn.bottleneck = 16;
  dpn.groups = 4;
  dpn.layers = {1, 1, 2, 1};
  dpn.residual = 16;
  dpn.increments = {8, 8, 16, 16};
  dpn.form = ClassifierForm::kSimpleCls3;
  EfficientnetOptions efficientnet;
  efficientnet.width = 0.35;
  efficientnet.depth = 0.4;
  efficientnet.drop_path = 0.2;
  VitOptions patches;
  patches.patch = 16;
  patches.levels = 32;
  patches.dim = 64;
  patches.depth = 2;
  patches.heads = 2;
  patches.mlp_ratio = 2;
  return {{"seresnext", seresnext, 178882},
          {"dpn_cls3", dpn, 149972},
          {"efficientnet", efficientnet, 281994},
          {"vit", patches, 132682},
          {"resnet", TinyResnet(), 703098},
          {"resnet_cls3", cls3, 703386},
          {"resnet_stem_stride", wide_stem, 175534},
          {"gru", gru, 283594},
          {"vit1d", vit, 1372234},
          {"conv1d", Conv1dOptions(), 397194}};
}

void PrintTo(const SizeCase& size, std::ostream* out) { *out << size.name; }

class ModelSizeTest : public ::testing::TestWithParam<SizeCase> {};

TEST_P(ModelSizeTest, HasThatManyParametersAndGivesALogitForEachLabel) {
  const auto model = Build(GetParam().arch);
  EXPECT_EQ(NumParameters(*model), GetParam().parameters);
  torch::manual_seed(2);
  // As the renderer leaves it: transposed, not contiguous.
  const at::Tensor images = at::rand({3, 80, 100}).transpose(1, 2);
  const at::Tensor logits = model->Forward(images);
  EXPECT_EQ(logits.sizes(), at::IntArrayRef({3, 10}));
  EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
  logits.sum().backward();
}

TEST_P(ModelSizeTest, SameSeedStartsFromTheSameWeights) {
  const auto first = NamedWeights(Build(GetParam().arch)->module());
  const auto second = NamedWeights(Build(GetParam().arch)->module());
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(first[i].second.equal(second[i].second)) << first[i].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, ModelSizeTest,
                         ::testing::ValuesIn(SizeCases()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(ModelTest, ResidualBlocksStartAsTheIdentity) {
  const auto model = Build(TinyResnet());
  for (const auto& [name, tensor] : NamedWeights(model->module())) {
    if (name.ends_with(".bn2.weight")) {
      EXPECT_EQ(tensor.abs().max().item<float>(), 0) << name;
    } else if (name.ends_with("bn1.weight")) {
      EXPECT_EQ(tensor.min().item<float>(), 1) << name;
    }
  }
}

// The transformer on patches as it is written down: one-hot levels through a
// convolution, attention over all tokens at once. One block, two heads.
at::Tensor PlainVit(std::map<std::string, at::Tensor>& weights,
                    const at::Tensor& images, int levels) {
  const auto w = [&](const std::string& name) {
    return weights.at("base_model." + name);
  };
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return at::linear(x, w(name + ".weight"), w(name + ".bias"));
  };
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, x.size(2), w(name + ".weight"), w(name + ".bias"),
                          1e-6);
  };
  const at::Tensor one_hot =
      at::one_hot(images.mul(levels - 1).clamp(0, levels - 1).to(at::kLong),
                  levels)
          .to(at::kFloat)
          .permute({0, 3, 1, 2});
  at::Tensor x = at::conv2d(one_hot, w("patch_embed.proj.weight"),
                            w("patch_embed.proj.bias"), {1, 8})
                     .flatten(2)
                     .transpose(1, 2);
  const int64_t batch = x.size(0), dim = x.size(2);
  x = at::cat({w("cls_token").expand({batch, 1, dim}), x}, 1) + w("pos_embed");
  const auto qkv = linear(norm(x, "blocks.0.norm1"), "blocks.0.attn.qkv")
                       .view({batch, -1, 3, 2, dim / 2})
                       .permute({2, 0, 3, 1, 4});
  const at::Tensor scores = at::matmul(qkv[0], qkv[1].transpose(2, 3)) /
                            std::sqrt(static_cast<double>(dim / 2));
  const at::Tensor mixed =
      at::matmul(scores.softmax(-1), qkv[2]).transpose(1, 2);
  x = x + linear(mixed.reshape({batch, -1, dim}), "blocks.0.attn.proj");
  const at::Tensor hidden =
      at::gelu(linear(norm(x, "blocks.0.norm2"), "blocks.0.mlp.fc1"));
  x = norm(x + linear(hidden, "blocks.0.mlp.fc2"), "norm");
  return linear(x.select(1, 0), "head");
}

TEST(ModelTest, PatchesAreComputedFasterAndComeOutAsTheyAreWrittenDown) {
  VitOptions options;
  options.levels = 16;
  options.dim = 8;
  options.depth = 1;
  options.heads = 2;
  const auto model = Build(options);
  at::Tensor images = at::rand({2, 100, 80});
  images[0][0] = 1;   // The last level,
  images[1][3] = -5;  // and what is out of range.
  std::map<std::string, at::Tensor> weights;
  for (const auto& item : model->module().named_parameters()) {
    at::Tensor tensor = item.value();
    weights[item.key()] = tensor;
    const at::NoGradGuard no_grad;
    tensor.add_(at::randn_like(tensor), 0.3);
  }
  const auto gradients = [&](const at::Tensor& logits) {
    std::map<std::string, at::Tensor> result;
    logits.square().sum().backward();
    for (auto& [name, tensor] : weights) {
      result[name] = tensor.grad().clone();
      tensor.mutable_grad().zero_();
    }
    return result;
  };
  const at::Tensor fast = model->Forward(images);
  const auto fast_gradients = gradients(fast);
  const at::Tensor plain = PlainVit(weights, images, options.levels);
  EXPECT_TRUE(at::allclose(fast, plain, 1e-4, 1e-5));
  for (const auto& [name, gradient] : gradients(plain)) {
    const at::Tensor& got = fast_gradients.at(name);
    EXPECT_LT((got - gradient).norm().item<double>(),
              1e-4 * gradient.norm().item<double>())
        << name;
  }
}

TEST(ModelTest, ImpossibleOptionsAreRefusedByName) {
  const auto message = [](const ArchOptions& options) {
    const auto model = BuildModel(options, 10);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(model.status().message());
  };
  ResnetOptions resnet = TinyResnet();
  resnet.widths.pop_back();
  EXPECT_THAT(message(resnet), HasSubstr("layers has 4 stages and widths 3"));
  resnet = TinyResnet();
  resnet.stem_stride = {2};
  EXPECT_THAT(message(resnet), HasSubstr("stem_stride is [2]"));
  Vit1dOptions vit;
  vit.heads = 7;
  EXPECT_THAT(message(vit), HasSubstr("dim 1024 with 7 heads"));
  Conv1dOptions conv;
  conv.kernel = 4;
  EXPECT_THAT(message(conv), HasSubstr("kernels of 5 and 4"));
  SeresnextOptions seresnext;
  seresnext.planes.pop_back();
  EXPECT_THAT(message(seresnext), HasSubstr("4 stages and planes 3"));
  seresnext = SeresnextOptions();
  seresnext.planes[0] = 15;
  EXPECT_THAT(message(seresnext),
              HasSubstr("planes 15 with base_width 4 leave a group"));
  DpnOptions dpn;
  dpn.increments = {16, 32};
  EXPECT_THAT(message(dpn), HasSubstr("increments 2, expected 4 of each"));
  dpn = DpnOptions();
  dpn.groups = 48;
  EXPECT_THAT(message(dpn), HasSubstr("bottleneck 128 with 48 groups"));
  EfficientnetOptions efficientnet;
  efficientnet.width = 0;
  EXPECT_THAT(message(efficientnet), HasSubstr("width 0 and depth 1.2"));
  VitOptions patches;
  patches.patch = 7;
  EXPECT_THAT(message(patches), HasSubstr("patch 7, expected a divisor"));
  patches = VitOptions();
  patches.heads = 15;
  EXPECT_THAT(message(patches), HasSubstr("arch.vit: dim 512 with 15 heads"));
  EXPECT_THAT(message(NoneOptions()), HasSubstr("no network"));
}

// ---- Numbers of the original networks.

// CRC-32 as zlib computes it.
uint32_t Crc32(const std::string& text) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
    }
  }
  return ~crc;
}

// scale * u + shift, u the made values in [0, 1) that belong to a tensor's
// name.
at::Tensor Made(const std::string& name, at::IntArrayRef shape,
                double scale = 1, double shift = 0) {
  at::Tensor values = at::empty(shape, at::kFloat);
  float* out = values.data_ptr<float>();
  uint64_t counter = Crc32(name);
  for (int64_t i = 0; i < values.numel(); ++i) {
    uint64_t z = counter += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    const double u = static_cast<double>(z >> 40) / (1 << 24);
    out[i] = static_cast<float>(scale * u + shift);
  }
  return values;
}

at::Tensor MadeWeights(const std::string& name, const at::Tensor& like) {
  if (name.ends_with("num_batches_tracked")) return at::zeros_like(like);
  double scale = 0.1, shift = -0.05;  // Biases.
  if (name.ends_with("running_mean")) {
    scale = 0.2;
    shift = -0.1;
  } else if (name.ends_with("running_var") ||
             (like.dim() == 1 && name.ends_with("weight"))) {
    scale = 0.5;
    shift = 0.75;
  } else if (name.ends_with("cls_token") || name.ends_with("pos_embed")) {
    shift = -0.05;
  } else if (like.dim() > 1) {
    const double fan = static_cast<double>(like.numel()) / like.size(0);
    scale = 2 * std::sqrt(3 / fan);
    shift = -scale / 2;
  }
  return Made(name, like.sizes(), scale, shift);
}

struct GoldenCase {
  const char* name;
  ArchOptions arch;
  double tolerance = 1e-4;  // Of logits.
};

std::vector<GoldenCase> GoldenCases() {
  ResnetOptions cls3;
  cls3.form = ClassifierForm::kSimpleCls3;
  RnnOptions gru;
  gru.dropout = gru.head_dropout = 0;
  RnnOptions lstm = gru;
  lstm.cell = RnnCell::kLstm;
  Vit1dOptions vit;
  vit.dropout = 0;
  Vit1dOptions vit64 = vit;
  vit64.heads = 64;
  EfficientnetOptions cls3_efficientnet;
  cls3_efficientnet.form = ClassifierForm::kSimpleCls3;
  return {{"cls_resnet34", ResnetOptions(), 2e-4},
          {"cls3_resnet34", cls3},
          {"gru", gru},
          {"lstm", lstm},
          {"vit1d_32h", vit},
          {"vit1d_64h", vit64},
          {"cls3_seresnext50", SeresnextOptions()},
          {"cls_dpn68b", DpnOptions()},
          {"cls_enet_b2", EfficientnetOptions()},
          {"cls3_enet_b2", cls3_efficientnet},
          {"vit_100", VitOptions()}};
}

std::string SharedFolder() {
  const char* folder = std::getenv("FOLDFARM_SHARED");
  return folder != nullptr ? folder : FOLDFARM_SOURCE_DIR "/../shared";
}

at::Tensor ToTensor(const nlohmann::json& rows) {
  at::Tensor result = at::empty({static_cast<int64_t>(rows.size()),
                                 static_cast<int64_t>(rows[0].size())});
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows[i].size(); ++j) {
      result[i][j] = rows[i][j].get<float>();
    }
  }
  return result;
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

void PrintTo(const GoldenCase& golden, std::ostream* out) {
  *out << golden.name;
}

class GoldenModelTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenModelTest, LogitsAndATrainingStepEqualTheOriginals) {
  const std::string path =
      absl::StrCat(SharedFolder(), "/golden/models/", GetParam().name, ".json");
  const auto file = ReadFile(path);
  if (!file.ok()) GTEST_SKIP() << path << " is not there";
  const nlohmann::json golden = ParseJson(*file);
  ConfigureTorch(1, "cpu");
  const auto model = Build(GetParam().arch);

  // Names and shapes, then the made values.
  std::map<std::string, std::vector<int64_t>> shapes;
  {
    const at::NoGradGuard no_grad;
    for (auto [name, tensor] : NamedWeights(model->module())) {
      shapes[name] = tensor.sizes().vec();
      tensor.copy_(MadeWeights(name, tensor));
    }
  }
  const auto expected_shapes =
      golden["tensors"].get<std::map<std::string, std::vector<int64_t>>>();
  EXPECT_EQ(shapes, expected_shapes);
  EXPECT_EQ(NumParameters(*model), golden["parameters"].get<int64_t>());

  const bool log_space = golden["input_range"][0] == -4;
  const at::Tensor images =
      Made("input", {4, 100, 80}, log_space ? 4 : 1, log_space ? -4 : 0);
  const at::Tensor labels = Made("labels", {4, 10}).gt(0.7).to(at::kFloat);
  const auto eval_logits = [&] {
    const at::NoGradGuard no_grad;
    model->module().eval();
    return model->Forward(images);
  };
  EXPECT_LT(LargestDifference(eval_logits(), ToTensor(golden["logits_eval"])),
            GetParam().tolerance);

  TrainOptions options;
  options.lr = 1e-4;
  options.weight_decay = 0.01;
  options.grad_clip = 64;
  Optimizer optimizer(model->module(), options);
  model->module().train();
  optimizer.ZeroGradients();
  const at::Tensor loss = at::binary_cross_entropy_with_logits(
      model->Forward(images), labels / 1.002 + 0.001);
  loss.backward();
  const nlohmann::json& step = golden["train_step"];
  EXPECT_NEAR(loss.item<double>(), step["loss"].get<double>(), 1e-5);
  const double norm = step["grad_norm_before_clip"].get<double>();
  EXPECT_NEAR(optimizer.GradientNorm(), norm, 1e-3 * norm);
  optimizer.Step(options.lr);
  EXPECT_LT(
      LargestDifference(eval_logits(), ToTensor(step["logits_eval_after"])),
      2e-2);
}

INSTANTIATE_TEST_SUITE_P(Originals, GoldenModelTest,
                         ::testing::ValuesIn(GoldenCases()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace foldfarm
