#include "worker/trainer/draw.h"

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/spectra/sample_table.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "worker/render/renderer.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/trainer/json_fields.h"
#include "worker/trainer/torch_errors.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

constexpr char kDrawFile[] = "draw.json";
constexpr char kFixed[] = "fixed";
constexpr char kSamGroup[] = "sam_augment";
constexpr int kMaxDraws = 1000;

struct DrawSpec {
  std::vector<std::string> samples;
  std::vector<std::string> train_samples;
  int draws = 9;
  uint32_t seed = 1;
  RenderOptions render;
};

absl::StatusOr<DrawSpec> ParseDrawSpec(const std::string& text) {
  const Json root = ParseJson(text);
  if (root.is_discarded()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kDrawFile, ": not valid JSON"));
  }
  DrawSpec spec;
  JsonFields fields(root, absl::StrCat(kDrawFile, ":"));
  fields.Get("samples", spec.samples);
  fields.Get("train_samples", spec.train_samples);
  fields.Get("draws", spec.draws, 1, kMaxDraws);
  fields.Get("seed", spec.seed);
  const Json* model = fields.Object("model");
  FOLDFARM_RETURN_IF_ERROR(fields.Finish());
  if (spec.samples.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kDrawFile, ": samples is empty, expected at least 1 id"));
  }
  // An attempt's model is read, and complained about, in one place.
  const Json attempt = {{"model", model == nullptr ? Json() : *model}};
  FOLDFARM_ASSIGN_OR_RETURN(AttemptSpec parsed,
                            ParseAttemptSpec(JsonText(attempt), kDrawFile));
  spec.render = parsed.render;
  return spec;
}

struct Group {
  std::string name;
  RenderOptions options;
};

// The groups that the model has, in the order in which they are shown.
std::vector<Group> GroupsOf(const DrawSpec& spec) {
  RenderOptions training = spec.render;
  if (spec.train_samples.empty()) training.mix_prob = 0;
  RenderOptions plain = training;
  plain.mz_var = plain.he_var = plain.scale_var = 0;
  plain.sub_bg_prob = plain.mix_prob = plain.sam_augment.prob = 0;
  std::vector<Group> groups = {{kFixed, plain}, {"plain", plain}};
  const auto add = [&](const char* name, auto change) {
    RenderOptions options = plain;
    change(options);
    groups.push_back({name, options});
  };
  if (training.mz_var > 0 || training.he_var > 0 || training.scale_var > 0) {
    add("augment", [&](RenderOptions& options) {
      options.mz_var = training.mz_var;
      options.he_var = training.he_var;
      options.scale_var = training.scale_var;
    });
  }
  if (training.sub_bg_prob > 0) {
    add("baseline", [](RenderOptions& options) { options.sub_bg_prob = 1; });
  }
  if (training.mix_prob > 0) {
    add("mixing", [](RenderOptions& options) { options.mix_prob = 1; });
  }
  if (training.sam_augment.prob > 0) {
    add(kSamGroup,
        [](RenderOptions& options) { options.sam_augment.prob = 1; });
  }
  groups.push_back({"training", training});
  return groups;
}

void AddTensor(const std::string& name, const at::Tensor& tensor,
               TensorFileWriter& writer) {
  const at::Tensor values = tensor.to(at::kFloat).cpu().contiguous();
  writer.AddF32(
      name, values.sizes().vec(),
      {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
}

// One sample in one group: its draws, each from a seed of its own, so that
// groups differ in nothing but their options.
void DrawSample(const DrawSpec& spec, size_t sample, const Group& group,
                Renderer& renderer, TensorFileWriter& writer) {
  const auto position =
      static_cast<int64_t>(spec.train_samples.size() + sample);
  const at::Tensor positions = at::full({1}, position, at::kLong);
  const std::string name = absl::StrCat(spec.samples[sample], "/", group.name);
  if (group.name == kFixed) {
    AddTensor(name, renderer.DrawFixed(positions, /*subtract_baseline=*/false),
              writer);
    AddTensor(name + "/labels", renderer.labels().index_select(0, positions),
              writer);
    return;
  }
  std::vector<at::Tensor> images(spec.draws), labels(spec.draws);
  for (int draw = 0; draw < spec.draws; ++draw) {
    renderer.Seed((static_cast<uint64_t>(spec.seed) << 32) +
                  sample * kMaxDraws + draw);
    renderer.Draw(positions, DrawMode::kTrain, images[draw], labels[draw]);
  }
  AddTensor(name, at::cat(images), writer);
  AddTensor(name + "/labels", at::cat(labels), writer);
}

absl::Status Run(const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string json,
                            ReadFile(JoinPath(directory, kDrawFile)));
  FOLDFARM_ASSIGN_OR_RETURN(const DrawSpec spec, ParseDrawSpec(json));
  FOLDFARM_ASSIGN_OR_RETURN(
      const auto dataset,
      PreparedDataset::Open(JoinPath(directory, "dataset.safetensors")));
  std::vector<std::string> ids = spec.train_samples;
  ids.insert(ids.end(), spec.samples.begin(), spec.samples.end());
  TensorFileWriter writer;
  Json names = Json::array();
  for (const Group& group : GroupsOf(spec)) {
    const auto renderer = Renderer::Create(
        *dataset, ids, static_cast<int64_t>(spec.train_samples.size()),
        group.options, "cpu");
    if (!renderer.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(kDrawFile, ": ", renderer.status().message()));
    }
    names.push_back(group.name);
    for (size_t sample = 0; sample < spec.samples.size(); ++sample) {
      FOLDFARM_ASSIGN_OR_RETURN(const int64_t index,
                                dataset->IndexOf(spec.samples[sample]));
      if (group.name == kSamGroup &&
          dataset->header().samples[index].instrument_type != kCommercial) {
        continue;
      }
      DrawSample(spec, sample, group, **renderer, writer);
    }
  }
  writer.SetMetadata("format", "foldfarm-images");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("samples", JsonText(Json(spec.samples)));
  writer.SetMetadata("groups", JsonText(names));
  return WriteFileAtomically(JoinPath(directory, "images.safetensors"),
                             writer.Serialize());
}

}  // namespace

absl::Status DrawImages(const std::string& directory) {
  return CatchTorchErrors([&] { return Run(directory); });
}

}  // namespace foldfarm
