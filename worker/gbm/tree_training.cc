#include "worker/gbm/tree_training.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "worker/gbm/booster.h"
#include "worker/gbm/tree_parameters.h"
#include "worker/training/metrics.h"

namespace foldfarm {
namespace {

constexpr char kWeightsFile[] = "weights.safetensors";
constexpr char kStateFile[] = "state.safetensors";
constexpr char kWeightsFormat[] = "foldfarm-weights";
constexpr char kStateFormat[] = "foldfarm-tree-state";
// Features of each label whose gain is told.
constexpr size_t kToldFeatures = 50;

// The saved bytes of every model.
using Models = std::vector<std::string>;

absl::Status CheckOptions(const TreeInput& input) {
  const XgboostOptions& options = input.options;
  if (options.max_depth == 0 && options.max_leaves == 0) {
    return absl::InvalidArgumentError(
        "arch.xgboost: max_depth and max_leaves are both 0 (no limit), "
        "expected "
        "a limit on one of them");
  }
  const std::vector<double>& weights = input.positive_weights;
  if (options.targets == TreeTargets::kMultiOutput &&
      std::any_of(weights.begin(), weights.end(),
                  [&](double weight) { return weight != weights[0]; })) {
    return absl::InvalidArgumentError(
        "arch.xgboost: targets multi_output has one weight for all positives, "
        "but train.balance or train.positive_weights ask for one a label; use "
        "targets one_per_label");
  }
  if (input.train.rows < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train_samples give ", input.train.rows, " rows, expected at least 2"));
  }
  return absl::OkStatus();
}

class BoostedTrees : public TreeTraining {
 public:
  static absl::StatusOr<std::unique_ptr<TreeTraining>> Make(TreeInput input) {
    FOLDFARM_RETURN_IF_ERROR(CheckOptions(input));
    const auto matrix = [&](FeatureTable& table) {
      auto result = TreeMatrix::Create(table.values, table.rows, table.columns,
                                       std::max(input.threads, 1));
      table.values = {};  // XGBoost has its own copy.
      return result;
    };
    FOLDFARM_ASSIGN_OR_RETURN(TreeMatrix train, matrix(input.train));
    FOLDFARM_ASSIGN_OR_RETURN(TreeMatrix validation, matrix(input.validation));
    return std::unique_ptr<TreeTraining>(new BoostedTrees(
        std::move(input), std::move(train), std::move(validation)));
  }

  int epoch() const override { return epoch_; }
  int epochs() const override {
    return (options().rounds + options().epoch_rounds - 1) /
           options().epoch_rounds;
  }
  bool done() const override {
    return epoch_ >= epochs() || stopping_.ShouldStop();
  }
  const EarlyStopping& stopping() const override { return stopping_; }
  double train_seconds() const override { return train_seconds_; }

  absl::StatusOr<Metrics> TrainEpoch(const StopRequested& stop) override;
  absl::StatusOr<std::unique_ptr<TreePredictor>> Trees() const override {
    return TreePredictor::Create(Best(), num_labels(), input_.train.columns,
                                 threads());
  }
  absl::Status SaveCheckpoint(const std::string& directory) const override;
  absl::Status LoadCheckpoint(const std::string& directory) override;
  absl::StatusOr<std::vector<std::string>> SaveResults(
      const std::string& directory) const override;

 private:
  BoostedTrees(TreeInput input, TreeMatrix train, TreeMatrix validation)
      : input_(std::move(input)),
        train_(std::move(train)),
        validation_(std::move(validation)) {
    models_.resize(multi_output() ? 1 : num_labels());
    stopping_.patience = input_.train_options.early_stopping;
    stopping_.min_delta = input_.train_options.early_stopping_min_delta;
  }

  const XgboostOptions& options() const { return input_.options; }
  size_t num_labels() const { return input_.labels.size(); }
  int threads() const { return std::max(input_.threads, 1); }
  bool multi_output() const {
    return options().targets == TreeTargets::kMultiOutput;
  }
  // Rounds that are done after `epoch` epochs.
  int RoundsAfter(int epoch) const {
    const int64_t rounds = int64_t{epoch} * options().epoch_rounds;
    return static_cast<int>(std::min<int64_t>(rounds, options().rounds));
  }
  // Labels that a model predicts.
  size_t width() const { return multi_output() ? num_labels() : 1; }
  const Models& Best() const {
    return best_models_.empty() ? models_ : best_models_;
  }
  // "booster.LABEL" or "booster".
  std::string TensorName(const char* kind, size_t model) const {
    return multi_output() ? kind
                          : absl::StrCat(kind, ".", input_.labels[model]);
  }

  std::vector<float> TrainLabelsOf(size_t model) const;
  absl::StatusOr<Booster> Grow(size_t model, const StopRequested& stop);
  // Puts a model's [rows, width] into [rows, labels].
  void Place(const std::vector<float>& part, size_t model,
             std::vector<float>& all) const;
  void AddModels(const char* kind, const Models& models,
                 TensorFileWriter& writer) const;
  absl::StatusOr<Models> ReadModels(const char* kind, const TensorFile& file,
                                    const std::string& path) const;

  TreeInput input_;
  TreeMatrix train_, validation_;
  int epoch_ = 0;
  int rounds_ = 0;  // Done.
  double train_seconds_ = 0;
  Models models_;
  EarlyStopping stopping_;
  Models best_models_;  // With early stopping alone.
};

std::vector<float> BoostedTrees::TrainLabelsOf(size_t model) const {
  if (multi_output()) return input_.train_labels;
  std::vector<float> labels;
  for (size_t i = model; i < input_.train_labels.size(); i += num_labels()) {
    labels.push_back(input_.train_labels[i]);
  }
  return labels;
}

// A model with the rounds of the next epoch.
absl::StatusOr<Booster> BoostedTrees::Grow(size_t model,
                                           const StopRequested& stop) {
  const std::vector<float> labels = TrainLabelsOf(model);
  FOLDFARM_RETURN_IF_ERROR(
      train_.SetLabels(labels, static_cast<int64_t>(width())));
  const TreeSeed seed = {.job = input_.seed,
                         .model = static_cast<uint32_t>(model),
                         .epoch = static_cast<uint32_t>(epoch_)};
  FOLDFARM_ASSIGN_OR_RETURN(
      Booster booster,
      Booster::Load(
          models_[model],
          TreeParameters(options(), labels, input_.positive_weights[model],
                         seed, threads()),
          &train_));
  for (int round = rounds_; round < RoundsAfter(epoch_ + 1); ++round) {
    if (stop()) {
      return absl::CancelledError(
          absl::StrCat("stopped in epoch ", epoch_ + 1));
    }
    FOLDFARM_RETURN_IF_ERROR(booster.Update(round, train_));
  }
  return booster;
}

void BoostedTrees::Place(const std::vector<float>& part, size_t model,
                         std::vector<float>& all) const {
  const size_t rows = part.size() / width();
  all.resize(rows * num_labels());
  for (size_t row = 0; row < rows; ++row) {
    std::copy_n(part.begin() + row * width(), width(),
                all.begin() + row * num_labels() + model);
  }
}

absl::StatusOr<TreeTraining::Metrics> BoostedTrees::TrainEpoch(
    const StopRequested& stop) {
  const absl::Duration start = input_.clock->Monotonic();
  const int next = epoch_ + 1;
  const bool last = next >= epochs();
  const bool score = !input_.validation_labels.empty() &&
                     (last || next % input_.train_options.validate_every == 0);
  Models grown;
  std::vector<float> fitted, drawn;
  for (size_t model = 0; model < models_.size(); ++model) {
    FOLDFARM_ASSIGN_OR_RETURN(const Booster booster, Grow(model, stop));
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<float> fit,
                              booster.Predict(train_));
    Place(fit, model, fitted);
    if (score) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::vector<float> held_out,
                                booster.Predict(validation_));
      Place(held_out, model, drawn);
    }
    FOLDFARM_ASSIGN_OR_RETURN(grown.emplace_back(), booster.Save());
  }

  Metrics metrics;
  metrics["train_loss"] = LogLossClipped(fitted, input_.train_labels, 1e-7);
  metrics["lr"] = options().learning_rate;
  if (!std::isfinite(metrics["train_loss"])) {
    return absl::InternalError(
        absl::StrCat("training diverged: the loss of epoch ", next,
                     " is not a number; lower arch.xgboost.learning_rate (",
                     options().learning_rate, ")"));
  }
  models_ = std::move(grown);
  epoch_ = next;
  const int before = std::exchange(rounds_, RoundsAfter(epoch_));
  if (score) {
    metrics["log_loss"] = LogLossClipped(drawn, input_.validation_labels, 1e-3);
    metrics["log_loss_clip_1e_2"] =
        LogLossClipped(drawn, input_.validation_labels, 1e-2);
    metrics["accuracy"] = Accuracy(drawn, input_.validation_labels);
    if (stopping_.patience > 0 && stopping_.Add(metrics["log_loss"], epoch_)) {
      best_models_ = models_;
    }
  }
  const double seconds =
      absl::ToDoubleSeconds(input_.clock->Monotonic() - start);
  metrics["samples_per_second"] =
      static_cast<double>(input_.train.rows * (rounds_ - before)) /
      std::max(seconds, 1e-9);
  metrics["seconds"] = seconds;
  train_seconds_ += seconds;
  return metrics;
}

void BoostedTrees::AddModels(const char* kind, const Models& models,
                             TensorFileWriter& writer) const {
  for (size_t model = 0; model < models.size(); ++model) {
    const std::string& bytes = models[model];
    writer.AddU8(
        TensorName(kind, model), {static_cast<int64_t>(bytes.size())},
        absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()),
                            bytes.size()));
  }
}

absl::StatusOr<Models> BoostedTrees::ReadModels(const char* kind,
                                                const TensorFile& file,
                                                const std::string& path) const {
  Models models;
  for (size_t model = 0; model < models_.size(); ++model) {
    const std::string name = TensorName(kind, model);
    FOLDFARM_ASSIGN_OR_RETURN(const auto bytes, file.U8(name, {-1}));
    models.emplace_back(bytes.begin(), bytes.end());
    FOLDFARM_ASSIGN_OR_RETURN(
        const Booster booster,
        Booster::Load(models.back(), {{"verbosity", "0"}}, nullptr));
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t columns, booster.NumFeatures());
    if (columns != input_.train.columns) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", name, " has ", columns,
                       " features, expected ", input_.train.columns));
    }
  }
  return models;
}

absl::Status BoostedTrees::SaveCheckpoint(const std::string& directory) const {
  const std::string temporary = absl::StrCat(directory, ".tmp");
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(temporary));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(temporary));
  TensorFileWriter weights, state;
  for (const auto& [key, value] : input_.metadata) {
    weights.SetMetadata(key, value);
    state.SetMetadata(key, value);
  }
  weights.SetMetadata("format", kWeightsFormat);
  AddModels("booster", models_, weights);
  state.SetMetadata("format", kStateFormat);
  state.SetMetadata("format_version", "1");
  state.SetMetadata("epoch", absl::StrCat(epoch_));
  state.SetMetadata("rounds", absl::StrCat(rounds_));
  state.SetMetadata("rounds_wanted", absl::StrCat(options().rounds));
  state.SetMetadata("seed", absl::StrCat(input_.seed));
  state.SetMetadata("train_seconds", absl::StrFormat("%.6f", train_seconds_));
  state.SetMetadata("best_epoch", absl::StrCat(stopping_.best_epoch));
  state.SetMetadata("best_loss", absl::StrFormat("%.17g", stopping_.best_loss));
  state.SetMetadata("worse", absl::StrCat(stopping_.worse));
  AddModels("best", best_models_, state);
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileDurably(JoinPath(temporary, kWeightsFile), weights.Serialize()));
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileDurably(JoinPath(temporary, kStateFile), state.Serialize()));
  // One of a former run in the same folder.
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(directory));
  return PublishFile(temporary, directory);
}

absl::Status BoostedTrees::LoadCheckpoint(const std::string& directory) {
  const std::string weights_path = JoinPath(directory, kWeightsFile);
  const std::string state_path = JoinPath(directory, kStateFile);
  FOLDFARM_ASSIGN_OR_RETURN(const auto weights, TensorFile::Open(weights_path));
  FOLDFARM_ASSIGN_OR_RETURN(const auto state, TensorFile::Open(state_path));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string format,
                            state->Metadata("format"));
  if (format != kStateFormat) {
    return absl::InvalidArgumentError(absl::StrCat(
        state_path, ": format is \"", format, "\", expected ", kStateFormat));
  }
  const auto number = [&](const char* key) -> absl::StatusOr<double> {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text, state->Metadata(key));
    double value = 0;
    if (!absl::SimpleAtod(text, &value) || !(value >= 0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          state_path, ": ", key, " is \"", text, "\", expected a number"));
    }
    return value;
  };
  FOLDFARM_ASSIGN_OR_RETURN(const double seed, number("seed"));
  if (seed != input_.seed) {
    return absl::InvalidArgumentError(absl::StrCat(
        state_path, ": belongs to seed ", seed, ", expected ", input_.seed));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const double epoch, number("epoch"));
  double rounds = RoundsAfter(static_cast<int>(epoch));
  double rounds_wanted = options().rounds;
  if (state->metadata().count("rounds") > 0) {
    FOLDFARM_ASSIGN_OR_RETURN(rounds, number("rounds"));
    FOLDFARM_ASSIGN_OR_RETURN(rounds_wanted, number("rounds_wanted"));
  }
  if (epoch > epochs() || rounds > options().rounds ||
      (epoch == epochs() && rounds < options().rounds)) {
    return absl::FailedPreconditionError(absl::StrCat(
        state_path, ": has ", rounds, " rounds in ", epoch, " epochs, but ",
        "arch.xgboost.rounds is ", options().rounds, ", expected ", rounds,
        " or more than ", int64_t{options().epoch_rounds} * epochs()));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const double best_epoch, number("best_epoch"));
  FOLDFARM_ASSIGN_OR_RETURN(const double worse, number("worse"));
  FOLDFARM_ASSIGN_OR_RETURN(train_seconds_, number("train_seconds"));
  FOLDFARM_ASSIGN_OR_RETURN(models_,
                            ReadModels("booster", *weights, weights_path));
  epoch_ = static_cast<int>(epoch);
  rounds_ = static_cast<int>(rounds);
  if (stopping_.patience == 0) return absl::OkStatus();
  if (best_epoch > 0) {
    FOLDFARM_ASSIGN_OR_RETURN(best_models_,
                              ReadModels("best", *state, state_path));
  }
  FOLDFARM_ASSIGN_OR_RETURN(stopping_.best_loss, number("best_loss"));
  stopping_.best_epoch = static_cast<int>(best_epoch);
  // Who asks for more rounds has patience again.
  stopping_.worse =
      options().rounds > rounds_wanted ? 0 : static_cast<int>(worse);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> BoostedTrees::SaveResults(
    const std::string& directory) const {
  std::vector<std::string> files = {kWeightsFile};
  nlohmann::json gains = nlohmann::json::object();
  for (size_t model = 0; model < Best().size(); ++model) {
    FOLDFARM_ASSIGN_OR_RETURN(
        Booster booster,
        Booster::Load(Best()[model], {{"verbosity", "0"}}, nullptr));
    FOLDFARM_RETURN_IF_ERROR(booster.SetFeatureNames(input_.feature_names));
    FOLDFARM_ASSIGN_OR_RETURN(const std::string bytes, booster.Save());
    files.push_back(multi_output() ? "model.ubj"
                                   : TreesFile(input_.labels[model], model));
    FOLDFARM_RETURN_IF_ERROR(
        WriteFileDurably(JoinPath(directory, files.back()), bytes));

    FOLDFARM_ASSIGN_OR_RETURN(const auto gain, booster.TotalGain());
    std::vector<std::pair<double, std::string>> falling;
    for (const auto& [name, value] : gain) falling.emplace_back(-value, name);
    std::sort(falling.begin(), falling.end());
    falling.resize(std::min(falling.size(), kToldFeatures));
    nlohmann::json& told = gains[multi_output() ? "all" : input_.labels[model]];
    told = nlohmann::json::array();
    for (const auto& [value, name] : falling) told.push_back({name, -value});
  }
  TensorFileWriter weights;
  for (const auto& [key, value] : input_.metadata) {
    weights.SetMetadata(key, value);
  }
  weights.SetMetadata("format", kWeightsFormat);
  weights.SetMetadata("labels", JsonText(nlohmann::json(input_.labels)));
  weights.SetMetadata("feature_names",
                      JsonText(nlohmann::json(input_.feature_names)));
  weights.SetMetadata("feature_gain", JsonText(gains));
  AddModels("booster", Best(), weights);
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileDurably(JoinPath(directory, kWeightsFile), weights.Serialize()));
  return files;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TreeTraining>> TreeTraining::Create(
    TreeInput input) {
  return BoostedTrees::Make(std::move(input));
}

}  // namespace foldfarm
