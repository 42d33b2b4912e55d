#include "worker/init/initial_weights.h"

#include <torch/torch.h>

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/weights/weights_file.h"
#include "worker/init/weights_match.h"

namespace foldfarm {
namespace {

// Names in a line of the report, and in an error.
constexpr size_t kShownNames = 6;

at::ScalarType ScalarTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kF64:
      return at::kDouble;
    case DType::kI64:
      return at::kLong;
    default:  // MatchWeights lets no other through.
      return at::kFloat;
  }
}

// timm's adapt_input_conv. `weight`: [out, in, height, width] floats.
at::Tensor AdaptChannels(const at::Tensor& weight, int64_t channels) {
  const int64_t in = weight.size(1);
  if (channels == 1) return weight.sum(at::IntArrayRef({1}), /*keepdim=*/true);
  const int64_t times = (channels + in - 1) / in;
  return weight.repeat({1, times, 1, 1})
      .narrow(1, 0, channels)
      .mul(static_cast<double>(in) / static_cast<double>(channels));
}

// The first few, and how many more there are.
std::string ListText(const std::vector<std::string>& items) {
  const size_t shown = std::min(items.size(), kShownNames);
  std::string text = absl::StrJoin(items.begin(), items.begin() + shown, ", ");
  if (shown < items.size()) {
    absl::StrAppend(&text, " and ", items.size() - shown, " more");
  }
  return text;
}

std::string Described(const std::string& name,
                      const std::vector<int64_t>& shape) {
  return absl::StrCat(name, " [", absl::StrJoin(shape, ", "), "]");
}

struct Target {
  NetworkTensor about;
  at::Tensor tensor;
};

std::vector<Target> TargetsOf(torch::nn::Module& network) {
  std::vector<Target> targets;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    targets.push_back(
        {{name, tensor.sizes().vec(), tensor.is_floating_point()}, tensor});
  };
  for (const auto& item : network.named_parameters()) {
    add(item.key(), item.value());
  }
  for (const auto& item : network.named_buffers()) {
    add(item.key(), item.value());
  }
  return targets;
}

absl::Status CheckShare(const WeightsMatch& match,
                        const std::vector<NetworkTensor>& network,
                        const WeightsFile& file, double min_loaded) {
  if (match.share >= min_loaded && !match.pairs.empty()) {
    return absl::OkStatus();
  }
  std::vector<std::string> ours, theirs;
  for (const NetworkTensor& tensor : network) {
    if (ours.size() < 3 && !IsBatchCounter(tensor.name)) {
      ours.push_back(Described(tensor.name, tensor.shape));
    }
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (theirs.size() < 3 && !IsBatchCounter(name)) {
      theirs.push_back(Described(name, tensor.shape));
    }
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "it fits %.3g %% of the network's values, expected at least %.3g %% "
      "(init.min_loaded); it has %d tensors, as %s; the network %d, as %s: is "
      "it of another architecture?",
      100 * match.share, 100 * min_loaded, file.tensors().size(),
      absl::StrJoin(theirs, ", "), network.size(), absl::StrJoin(ours, ", ")));
}

std::vector<std::string> Report(const WeightsMatch& match,
                                const WeightsFile& file,
                                size_t network_tensors) {
  std::vector<std::string> lines;
  std::string line = absl::StrFormat(
      "loaded %d of %d tensors, %.4g %% of the network's values",
      match.pairs.size(), network_tensors, 100 * match.share);
  if (match.strip != match.add) {
    absl::StrAppend(&line, "; NAME here is ", match.strip, "NAME there");
    if (!match.add.empty()) {
      line = absl::StrFormat(
          "loaded %d of %d tensors, %.4g %% of the network's values; %sNAME "
          "here is %sNAME there",
          match.pairs.size(), network_tensors, 100 * match.share, match.add,
          match.strip);
    }
  }
  lines.push_back(line);
  for (const WeightsMatch::Pair& pair : match.pairs) {
    if (pair.adapt_channels) {
      lines.push_back(
          absl::StrCat("first convolution ", pair.ours, " adapted from ",
                       file.tensors().at(pair.theirs).shape[1], " channels"));
    }
  }
  if (!match.unused.empty()) {
    std::vector<std::string> items;
    for (const auto& [name, why] : match.unused) {
      items.push_back(absl::StrCat(name, " (", why, ")"));
    }
    lines.push_back(absl::StrCat("not used of the file: ", ListText(items)));
  }
  if (!match.missing.empty()) {
    lines.push_back(
        absl::StrCat("keep their random start: ", ListText(match.missing)));
  }
  return lines;
}

absl::StatusOr<std::vector<std::string>> Load(const std::string& path,
                                              const InitOptions& options,
                                              torch::nn::Module& module) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, WeightsFile::Open(path));
  const bool pytorch = file->container() == WeightsContainer::kPytorch;
  if (options.format != WeightsFormat::kAuto &&
      pytorch != (options.format == WeightsFormat::kPytorch)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "it is a ", WeightsContainerName(file->container()),
        " file, but init.format says ", pytorch ? "safetensors" : "pytorch"));
  }
  const std::vector<Target> targets = TargetsOf(module);
  std::vector<NetworkTensor> network;
  std::map<std::string, at::Tensor> by_name;
  for (const Target& target : targets) {
    network.push_back(target.about);
    by_name[target.about.name] = target.tensor;
  }
  const WeightsMatch match =
      MatchWeights(network, file->tensors(), options.exclude);
  FOLDFARM_RETURN_IF_ERROR(
      CheckShare(match, network, *file, options.min_loaded));
  const at::NoGradGuard no_grad;
  for (const WeightsMatch::Pair& pair : match.pairs) {
    const WeightsTensor& theirs = file->tensors().at(pair.theirs);
    at::Tensor ours = by_name.at(pair.ours);
    FOLDFARM_ASSIGN_OR_RETURN(std::string bytes, file->Read(pair.theirs));
    at::Tensor values = at::from_blob(bytes.data(), theirs.shape,
                                      at::dtype(ScalarTypeOf(theirs.dtype)));
    values = values.to(ours.scalar_type());
    if (ours.is_floating_point() && !at::isfinite(values).all().item<bool>()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", pair.theirs, " has values that are no ",
                       c10::toString(ours.scalar_type()), " numbers"));
    }
    if (pair.adapt_channels) values = AdaptChannels(values, ours.size(1));
    ours.copy_(values);
  }
  return Report(match, *file, network.size());
}

}  // namespace

absl::StatusOr<std::vector<std::string>> LoadInitialWeights(
    const std::string& path, const InitOptions& options, Model& model) {
  if (!FileExists(path)) {
    return absl::InternalError(
        absl::StrCat(path, ": the weights that init asks for are not there"));
  }
  auto lines = Load(path, options, model.module());
  const std::string about = absl::StrCat("init: weights ", options.weights);
  if (!lines.ok()) return Annotate(lines.status(), about);
  for (std::string& line : *lines) line = absl::StrCat(about, ": ", line);
  return lines;
}

}  // namespace foldfarm
