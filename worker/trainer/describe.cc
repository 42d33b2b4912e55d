#include "worker/trainer/describe.h"

#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "nlohmann/json.hpp"
#include "worker/models/model.h"
#include "worker/render/render_options.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/trainer/torch_errors.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

// Two, so that batch norm has something to normalize at one pixel.
constexpr int64_t kImages = 2;

// Networks that are measured at once: the largest take half a gigabyte each.
constexpr size_t kMostThreads = 4;

// Share of the activations' bytes that is left where bfloat16 takes the place
// of fp32.
constexpr double kBf16Activations = 0.6;

// ---- Multiply-adds.

// What is being counted on this thread; null outside of CountingScope.
struct Count {
  int64_t multiply_adds = 0;
  int recurrent = 0;  // Depth within recurrent layers, counted as wholes.
};
thread_local Count* active_count = nullptr;

// Remembers, from an operation's inputs, the multiplications behind each value
// that it puts out.
struct OperationContext : public at::ObserverContext {
  int64_t per_output = 0;
  bool recurrent = false;
};

// Rows of `input` times the weights of every matrix: each is used once a step.
int64_t RecurrentMultiplyAdds(c10::ArrayRef<const c10::IValue> inputs) {
  const at::Tensor input = inputs[0].toTensor();
  int64_t weights = 0;
  for (const at::Tensor& parameter : inputs[2].toTensorVector()) {
    if (parameter.dim() == 2) weights += parameter.numel();
  }
  return weights * input.size(0) * input.size(1);
}

std::unique_ptr<at::ObserverContext> BeginOperation(
    const at::RecordFunction& operation) {
  auto context = std::make_unique<OperationContext>();
  if (active_count == nullptr) return context;
  const absl::string_view name = operation.name();
  const auto inputs = operation.inputs();
  if (name == "aten::lstm" || name == "aten::gru") {
    context->recurrent = true;
    if (active_count->recurrent++ == 0) {
      active_count->multiply_adds += RecurrentMultiplyAdds(inputs);
    }
  } else if (name == "aten::convolution") {
    const at::Tensor weight = inputs[1].toTensor();
    context->per_output = weight.numel() / weight.size(0);
  } else if (name == "aten::mm" || name == "aten::mv" || name == "aten::bmm") {
    const at::Tensor left = inputs[0].toTensor();
    context->per_output = left.size(left.dim() - 1);
  } else if (name == "aten::addmm" || name == "aten::addmv" ||
             name == "aten::baddbmm") {
    const at::Tensor left = inputs[1].toTensor();
    context->per_output = left.size(left.dim() - 1);
  }
  return context;
}

void EndOperation(const at::RecordFunction& operation,
                  at::ObserverContext* observer) {
  if (active_count == nullptr || observer == nullptr) return;
  const auto& context = *static_cast<OperationContext*>(observer);
  if (context.recurrent) {
    --active_count->recurrent;
  } else if (context.per_output > 0 && active_count->recurrent == 0) {
    active_count->multiply_adds +=
        context.per_output * operation.outputs()[0].toTensor().numel();
  }
}

// Counts this thread's multiply-adds while it lives.
class CountingScope {
 public:
  explicit CountingScope(Count& count)
      : handle_(at::addThreadLocalCallback(
            at::RecordFunctionCallback(BeginOperation, EndOperation)
                .needsInputs(true)
                .needsOutputs(true)
                .scopes({at::RecordScope::FUNCTION}))) {
    active_count = &count;
  }
  ~CountingScope() {
    active_count = nullptr;
    at::removeCallback(handle_);
  }
  CountingScope(const CountingScope&) = delete;
  CountingScope& operator=(const CountingScope&) = delete;

 private:
  const at::CallbackHandle handle_;
};

// ---- Bytes.

// The type in which this LibTorch reports totals; it differs by version.
template <typename Method>
struct Reported;
template <typename Class, typename Total>
struct Reported<void (Class::*)(void*, int64_t, Total, Total, c10::Device)> {
  using Type = Total;
};
using TotalBytes =
    Reported<decltype(&c10::MemoryReportingInfoBase::reportMemoryUsage)>::Type;

// Sums up what this thread allocates and does not free.
class LiveBytes : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, TotalBytes, TotalBytes,
                         c10::Device) override {
    live_ += bytes;
  }
  bool memoryProfilingEnabled() const override { return true; }

  int64_t live() const { return live_; }

 private:
  int64_t live_ = 0;
};

// ---- A network.

struct NetworkCost {
  int64_t parameters = 0;
  int64_t multiply_adds = 0;  // An image, forward.
  int64_t weight_bytes = 0;   // Parameters and buffers.
  int64_t parameter_bytes = 0;
  int64_t activation_bytes = 0;  // An image, kept for the backward pass, fp32.
};

absl::StatusOr<NetworkCost> Measure(const ArchOptions& arch, int num_labels) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<Model> model,
                            BuildModel(arch, num_labels));
  NetworkCost cost;
  for (const at::Tensor& parameter : model->module().parameters()) {
    cost.parameters += parameter.numel();
    cost.parameter_bytes += static_cast<int64_t>(parameter.nbytes());
  }
  cost.weight_bytes = cost.parameter_bytes;
  for (const at::Tensor& buffer : model->module().buffers()) {
    cost.weight_bytes += static_cast<int64_t>(buffer.nbytes());
  }
  model->module().train();
  const at::Tensor images = at::rand({kImages, kNumMz, kNumColumns});
  Count count;
  const auto bytes = std::make_shared<LiveBytes>();
  {
    const CountingScope counting(count);
    const c10::DebugInfoGuard tracking(c10::DebugInfoKind::PROFILER_STATE,
                                       bytes);
    const at::Tensor logits = model->Forward(images);
    cost.activation_bytes = bytes->live() / kImages;
  }
  cost.multiply_adds = count.multiply_adds / kImages;
  return cost;
}

// ---- An attempt.

// Copies of the parameters that an attempt holds besides the weights.
int Copies(const TrainOptions& train) {
  int copies = 1;  // Gradients.
  copies += train.optimizer == OptimizerKind::kSgd ? 1 : 2;
  if (train.ema > 0) ++copies;
  if (train.swa_start > 0) ++copies;
  return copies;
}

double StageBytes(const NetworkCost& network, const TrainOptions& train) {
  const auto parameters = static_cast<double>(network.parameter_bytes);
  double activations = static_cast<double>(network.activation_bytes) *
                       static_cast<double>(train.batch);
  if (train.precision == Precision::kBf16) {
    activations = activations * kBf16Activations + parameters / 2;
  }
  return static_cast<double>(network.weight_bytes) +
         parameters * Copies(train) + activations + kRuntimeBytes;
}

// A model of the document on its way to an answer.
struct Entry {
  Json answer = Json::object();
  absl::StatusOr<AttemptSpec> spec = AttemptSpec();
  std::string network;  // Its key among the measured; empty: none is needed.
};

// A network to be measured, and what came of it.
struct Network {
  ArchOptions arch;
  int num_labels = 0;
  absl::StatusOr<NetworkCost> cost = NetworkCost();
};

Entry ReadModel(const Json& model, int num_labels,
                std::map<std::string, Network>& networks) {
  Entry entry;
  if (!model.is_object()) {
    entry.spec = absl::InvalidArgumentError(
        absl::StrCat("a model is ", model.type_name(), ", expected object"));
    return entry;
  }
  if (model.contains("name")) entry.answer["name"] = model["name"];
  for (const char* figure : {"parameters", "multiply_adds", "memory_bytes"}) {
    entry.answer[figure] = nullptr;
  }
  const Json arch = model.value("arch", Json::object());
  if (arch.is_object() && arch.contains("exec")) {
    entry.spec->arch = XgboostOptions();  // No figures either.
    return entry;
  }
  entry.spec = ParseModelSpec(JsonText(model), "model");
  if (!entry.spec.ok() ||
      std::holds_alternative<XgboostOptions>(entry.spec->arch) ||
      std::holds_alternative<NoneOptions>(entry.spec->arch)) {
    return entry;
  }
  if (!entry.spec->labels.empty()) {
    num_labels = static_cast<int>(entry.spec->labels.size());
  }
  entry.network = absl::StrCat(num_labels, " ", JsonText(arch));
  networks[entry.network] = {.arch = entry.spec->arch,
                             .num_labels = num_labels};
  return entry;
}

// One network a core at a time: each runs too shortly to be worth sharing.
void MeasureAll(std::map<std::string, Network>& networks) {
  std::vector<Network*> open;
  for (auto& [key, network] : networks) open.push_back(&network);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    at::set_num_threads(1);
    for (size_t i = next++; i < open.size(); i = next++) {
      const absl::Status status = CatchTorchErrors([&] {
        open[i]->cost = Measure(open[i]->arch, open[i]->num_labels);
        return open[i]->cost.status();
      });
      if (!status.ok()) open[i]->cost = status;
    }
  };
  const size_t cores = std::thread::hardware_concurrency();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min({cores, kMostThreads, open.size()}); ++i) {
    threads.emplace_back(work);
  }
  for (std::thread& thread : threads) thread.join();
}

// Completes the answer from what was measured.
Json Answer(Entry entry, const std::map<std::string, Network>& networks) {
  absl::Status status = entry.spec.status();
  NetworkCost cost;
  if (status.ok() && !entry.network.empty()) {
    const Network& network = networks.at(entry.network);
    status = network.cost.status();
    if (status.ok()) cost = *network.cost;
  }
  if (!status.ok()) {
    Json answer = {{"name", entry.answer.value("name", Json(""))}};
    answer["error"] = std::string(status.message());
    return answer;
  }
  if (std::holds_alternative<XgboostOptions>(entry.spec->arch)) {
    return entry.answer;
  }
  double memory = StageBytes(cost, entry.spec->train);
  for (const StageOptions& stage : entry.spec->stages) {
    memory = std::max(memory, StageBytes(cost, stage.train));
  }
  entry.answer["parameters"] = cost.parameters;
  entry.answer["multiply_adds"] = cost.multiply_adds;
  entry.answer["memory_bytes"] = static_cast<int64_t>(memory);
  return entry.answer;
}

}  // namespace

absl::StatusOr<std::string> DescribeModels(absl::string_view document) {
  const Json root = ParseJson(document);
  if (root.is_discarded() || !root.is_object()) {
    return absl::InvalidArgumentError(
        "standard input is not a JSON object, expected {\"labels\": N, "
        "\"models\": [...]}");
  }
  const auto labels = root.find("labels");
  if (labels == root.end() || !labels->is_number_integer() ||
      labels->get<int64_t>() < 1 || labels->get<int64_t>() > 1'000'000) {
    return absl::InvalidArgumentError(absl::StrCat(
        "labels is ", labels == root.end() ? "missing" : JsonText(*labels),
        ", expected the number of labels"));
  }
  const auto models = root.find("models");
  if (models == root.end() || !models->is_array()) {
    return absl::InvalidArgumentError(
        "models is missing, expected a list of models");
  }
  std::map<std::string, Network> networks;
  std::vector<Entry> entries;
  for (const Json& model : *models) {
    entries.push_back(ReadModel(model, labels->get<int>(), networks));
  }
  MeasureAll(networks);
  Json answers = Json::array();
  for (Entry& entry : entries) {
    answers.push_back(Answer(std::move(entry), networks));
  }
  return JsonText(Json({{"models", std::move(answers)}}));
}

}  // namespace foldfarm
