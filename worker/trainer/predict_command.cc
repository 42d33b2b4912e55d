#include "worker/trainer/predict_command.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/spectra/sample_table.h"
#include "nlohmann/json.hpp"
#include "worker/trainer/bundle_models.h"
#include "worker/trainer/sample_inputs.h"
#include "worker/trainer/torch_errors.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;

// Samples in memory at a time.
constexpr size_t kGroup = 64;
// The table shows labels from this probability on, and the likeliest always.
constexpr double kShown = 0.1;
constexpr int kMaxTta = 10000;
constexpr int kMaxThreads = 1024;

// null for what no model predicts.
Json Number(double value) {
  return std::isnan(value) ? Json() : Json(std::round(value * 1e6) / 1e6);
}

// Progress on standard error: a line that changes on a terminal, otherwise a
// line now and then.
class ProgressLine {
 public:
  explicit ProgressLine(size_t samples)
      : samples_(samples), terminal_(isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() { Clear(); }

  void Network(size_t done_samples, size_t network, size_t networks) {
    if (!terminal_) return;
    std::fprintf(stderr,
                 "\r\033[KPredicted %zu of %zu samples; network %zu of "
                 "%zu on the next ones",
                 done_samples, samples_, network, networks);
    std::fflush(stderr);
    dirty_ = true;
  }
  void Group(size_t done_samples) {
    Clear();
    if (terminal_ || samples_ <= kGroup) return;
    std::fprintf(stderr, "Predicted %zu of %zu samples\n", done_samples,
                 samples_);
  }
  void Say(const std::string& line) {
    Clear();
    std::fprintf(stderr, "%s\n", line.c_str());
  }

 private:
  void Clear() {
    if (std::exchange(dirty_, false)) std::fputs("\r\033[K", stderr);
  }
  const size_t samples_;
  const bool terminal_;
  bool dirty_ = false;
};

class PredictCommand {
 public:
  PredictCommand(const PredictOptions& options,
                 const std::function<bool()>& stop)
      : options_(options), stop_(stop) {}

  absl::StatusOr<int> Run();

 private:
  absl::Status PredictGroup(absl::Span<const SampleInput> inputs,
                            ProgressLine& progress);
  void Keep(const ReadSample& sample, const BundlePrediction& unshrunk);
  std::string TableRow(const ReadSample& sample,
                       const BundlePrediction& prediction) const;
  Json Document() const;
  const Bundle& bundle() const { return models_->bundle(); }

  const PredictOptions& options_;
  const std::function<bool()>& stop_;
  std::unique_ptr<BundleModels> models_;
  int tta_ = 0;
  size_t total_ = 0, done_ = 0;
  int id_width_ = 0;
  Json samples_ = Json::array();
  Json failed_ = Json::array();
};

absl::StatusOr<int> PredictCommand::Run() {
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<SampleInput> inputs,
      FindSamples(options_.samples, options_.instrument_type));
  FOLDFARM_ASSIGN_OR_RETURN(models_,
                            BundleModels::Open({.directory = options_.bundle,
                                                .device = options_.device,
                                                .threads = options_.threads}));
  tta_ = options_.tta > 0 ? options_.tta : bundle().tta;
  total_ = inputs.size();
  for (const SampleInput& input : inputs) {
    id_width_ = std::max(id_width_, static_cast<int>(input.id.size()));
  }
  id_width_ = std::max(id_width_, 6);
  if (!options_.json) {
    std::printf("%-*s  %-11s  LABELS (probability ± spread between %s)\n",
                id_width_, "SAMPLE", "INSTRUMENT",
                models_->num_models() > 1
                    ? absl::StrCat(models_->num_models(), " models").c_str()
                    : absl::StrCat(models_->num_networks(), " folds").c_str());
  }
  ProgressLine progress(total_);
  const absl::Span<const SampleInput> all = inputs;
  for (size_t begin = 0; begin < all.size(); begin += kGroup) {
    const auto group = all.subspan(begin, kGroup);
    FOLDFARM_RETURN_IF_ERROR(PredictGroup(group, progress));
    done_ += group.size();
    progress.Group(done_);
  }
  if (options_.json) {
    std::printf("%s\n", JsonText(Document(), 1).c_str());
  }
  return static_cast<int>(failed_.size());
}

absl::Status PredictCommand::PredictGroup(absl::Span<const SampleInput> inputs,
                                          ProgressLine& progress) {
  const std::vector<ReadSample> samples =
      ReadSamples(inputs, models_->window(), options_.threads);
  size_t good = 0;
  for (const ReadSample& sample : samples) {
    if (sample.status.ok()) {
      ++good;
      continue;
    }
    const std::string message(sample.status.message());
    progress.Say(absl::StrCat("error: ", message));
    failed_.push_back({{"file", sample.input.path}, {"error", message}});
  }
  if (good == 0) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(const auto dataset,
                            DatasetOf(samples, bundle().labels));
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<BundlePrediction> predictions,
      PredictWithBundle(*models_, *dataset, tta_, stop_, [&](size_t network) {
        progress.Network(done_, network, models_->num_networks());
      }));
  size_t at = 0;
  for (const ReadSample& sample : samples) {
    if (!sample.status.ok()) continue;
    if (sample.guessed_instrument) {
      progress.Say(absl::StrCat(sample.input.id,
                                ": its instrument is not known; ",
                                sample.file.binned ? "readings come one by one"
                                                   : "readings come in "
                                                     "scans",
                                ", taken for ", sample.input.instrument_type,
                                " (--instrument says otherwise)"));
    }
    for (const std::string& warning : sample.warnings) {
      progress.Say(absl::StrCat("warning: ", sample.input.id, ": ", warning));
    }
    Keep(sample, predictions[at++]);
  }
  std::fflush(stdout);
  return absl::OkStatus();
}

// Prints the sample's row, or keeps it for the document.
void PredictCommand::Keep(const ReadSample& sample,
                          const BundlePrediction& unshrunk) {
  const std::string& instrument = sample.input.instrument_type;
  const BundlePrediction prediction =
      Shrunk(unshrunk, options_.shrink ? bundle().ShrinkOf(instrument) : 0);
  if (!options_.json) {
    std::printf("%s\n", TableRow(sample, prediction).c_str());
    return;
  }
  const std::vector<std::string>& labels = bundle().labels;
  Json json = {{"sample", sample.input.id},
               {"file", sample.input.path},
               {"instrumentType", instrument},
               {"instrumentGuessed", sample.guessed_instrument}};
  const auto by_label = [&](const std::vector<double>& values) {
    Json object = Json::object();
    for (size_t l = 0; l < labels.size(); ++l) {
      object[labels[l]] = Number(values[l]);
    }
    return object;
  };
  json["probability"] = by_label(prediction.probability);
  json["spread"] = by_label(prediction.spread);
  json["low"] = by_label(prediction.low);
  json["high"] = by_label(prediction.high);
  Json by_model = Json::object();
  for (size_t m = 0; m < models_->num_models(); ++m) {
    const auto row = prediction.model_probability.begin() + m * labels.size();
    by_model[bundle().models[m].name] =
        by_label(std::vector<double>(row, row + labels.size()));
  }
  json["modelProbability"] = std::move(by_model);
  json["warnings"] = sample.warnings;
  samples_.push_back(std::move(json));
}

std::string PredictCommand::TableRow(const ReadSample& sample,
                                     const BundlePrediction& prediction) const {
  const std::vector<double>& probability = prediction.probability;
  std::vector<size_t> order;
  for (size_t l = 0; l < probability.size(); ++l) {
    if (!std::isnan(probability[l])) order.push_back(l);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return probability[a] > probability[b];
  });
  std::vector<std::string> shown;
  for (const size_t l : order) {
    if (!shown.empty() && probability[l] < kShown) break;
    shown.push_back(absl::StrFormat("%s %.2f ±%.2f", bundle().labels[l],
                                    probability[l], prediction.spread[l]));
  }
  return absl::StrFormat("%-*s  %-11s  %s", id_width_, sample.input.id,
                         sample.input.instrument_type,
                         absl::StrJoin(shown, ", "));
}

Json PredictCommand::Document() const {
  return {{"bundle",
           {{"name", bundle().name},
            {"sweep", bundle().sweep_id},
            {"models", models_->num_models()},
            {"networks", models_->num_networks()}}},
          {"labels", bundle().labels},
          {"tta", tta_},
          {"shrunk", options_.shrink},
          {"spreadBetween", models_->num_models() > 1 ? "models" : "folds"},
          {"samples", samples_},
          {"failed", failed_}};
}

absl::Status Usage(const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, "; see foldfarm-trainer predict --help"));
}

}  // namespace

const char kPredictUsage[] =
    "Usage: foldfarm-trainer predict BUNDLE SAMPLES... [options]\n"
    "\n"
    "Predicts with a bundle, without a farm or a network.\n"
    "\n"
    "SAMPLES: features files (CSV), folders of them, or a folder with "
    "metadata.csv.\n"
    "\n"
    "  --tta N              draws of a sample, averaged (default: the "
    "bundle's)\n"
    "  --instrument TYPE    commercial or sam_testbed, of samples that no\n"
    "                       metadata.csv names (default: guessed from the "
    "data)\n"
    "  --json               one JSON document: all labels, every model's "
    "mean,\n"
    "                       spread, warnings\n"
    "  --no-shrink          leave probabilities as the networks say them\n"
    "  --threads N          default: all cores\n"
    "  --device D           cpu (default), cuda:0, ...\n"
    "\n"
    "The spread is the models' standard deviation around their mean. A file "
    "that\n"
    "cannot be read is reported and the others go on.\n"
    "\n"
    "Exit: 0 done, 1 some samples failed, 64 bad bundle or usage, 70 failed,\n"
    "75 stopped.\n"
    "\n"
    "Example: foldfarm-trainer predict mars-bundle/ S1153.csv S1156.csv\n";

absl::StatusOr<PredictOptions> ParsePredictOptions(
    const std::vector<std::string>& arguments) {
  PredictOptions options;
  std::vector<std::string> words;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (name.rfind("--", 0) != 0) {
      words.push_back(name);
      continue;
    }
    if (name == "--json") {
      options.json = true;
      continue;
    }
    if (name == "--no-shrink") {
      options.shrink = false;
      continue;
    }
    std::string value;
    const size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    }
    const auto number = [&](int max, int& to) -> absl::Status {
      if (absl::SimpleAtoi(value, &to) && to >= 1 && to <= max) {
        return absl::OkStatus();
      }
      return Usage(
          absl::StrCat(name, " is \"", value, "\", expected 1 to ", max));
    };
    if (name == "--tta") {
      FOLDFARM_RETURN_IF_ERROR(number(kMaxTta, options.tta));
    } else if (name == "--threads") {
      FOLDFARM_RETURN_IF_ERROR(number(kMaxThreads, options.threads));
    } else if (name == "--device") {
      options.device = value;
    } else if (name == "--instrument") {
      if (value != kCommercial && value != kSamTestbed) {
        return Usage(absl::StrCat("--instrument is \"", value,
                                  "\", expected commercial or sam_testbed"));
      }
      options.instrument_type = value;
    } else {
      return Usage(absl::StrCat("unknown option ", name));
    }
  }
  if (words.size() < 2) {
    return Usage(words.empty() ? "no bundle and no samples given"
                               : "no samples given");
  }
  options.bundle = words[0];
  options.samples.assign(words.begin() + 1, words.end());
  if (options.threads == 0) {
    options.threads =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  return options;
}

absl::StatusOr<int> RunPredict(const PredictOptions& options,
                               const std::function<bool()>& stop) {
  int failed = 0;
  FOLDFARM_RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(failed, PredictCommand(options, stop).Run());
    return absl::OkStatus();
  }));
  return failed;
}

}  // namespace foldfarm
