#include "coordinator/cli/dry_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/table.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;
using Align = Column::Align;

// An open file descriptor.
class File {
 public:
  File(const std::string& path, int flags)
      : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// Runs `argv` with `input` on its standard input; returns what it wrote.
absl::StatusOr<std::string> RunProgram(const std::vector<std::string>& argv,
                                       const std::string& input) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string scratch,
                            MakeTemporaryDirectory("foldfarm-describe"));
  const absl::Cleanup remove = [&] { (void)RemoveRecursively(scratch); };
  const std::string out_path = JoinPath(scratch, "out");
  const std::string err_path = JoinPath(scratch, "err");
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(scratch, "in"), input));
  const File in(JoinPath(scratch, "in"), O_RDONLY);
  const File out(out_path, O_WRONLY | O_CREAT);
  const File err(err_path, O_WRONLY | O_CREAT);
  if (in.fd() < 0 || out.fd() < 0 || err.fd() < 0) {
    return ErrnoStatus(scratch, "cannot open a file in");
  }
  SubprocessOptions options;
  options.argv = argv;
  options.descriptors = {{0, in.fd()}, {1, out.fd()}, {2, err.fd()}};
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Subprocess> process,
                            Subprocess::Spawn(options));
  const ExitState exit = process->Wait();
  if (exit.signal != 0 || exit.exit_status != 0) {
    const std::string said = ReadFile(err_path).value_or("");
    return absl::InternalError(absl::StrCat(
        argv[0], " describe ",
        exit.signal != 0 ? absl::StrCat("was killed by signal ", exit.signal)
                         : absl::StrCat("ended with status ", exit.exit_status),
        said.empty() ? "" : ":\n", absl::StripTrailingAsciiWhitespace(said)));
  }
  return ReadFile(out_path);
}

std::optional<int64_t> Figure(const Json& answer, const char* key) {
  const auto value = answer.find(key);
  if (value == answer.end() || !value->is_number()) return std::nullopt;
  return value->get<int64_t>();
}

std::string ArchName(const v1::ModelSpec& model) {
  const v1::ArchSpec& arch = model.arch();
  const auto* field = arch.GetDescriptor()->FindFieldByNumber(
      static_cast<int>(arch.kind_case()));
  return field == nullptr ? "" : field->name();
}

// What the model counts in, over all stages.
int EpochsOf(const v1::ModelSpec& model) {
  const v1::ArchSpec& arch = model.arch();
  if (arch.has_none()) return 0;
  if (arch.has_exec()) return arch.exec().epochs();
  if (arch.has_xgboost()) {
    const int rounds = std::max(1, arch.xgboost().epoch_rounds());
    return (arch.xgboost().rounds() + rounds - 1) / rounds;
  }
  if (model.stages().empty()) return model.train().epochs();
  int epochs = 0;
  for (const v1::StageSpec& stage : model.stages()) {
    epochs += stage.train().epochs();
  }
  return epochs;
}

// Jobs that are trained when nothing fails.
struct TrainedJobs {
  int64_t at_most = 0;
  // Less than that when stop_when ends the sweep as early as it can.
  int64_t at_least = 0;
};

TrainedJobs CountTrained(const v1::SweepSpec& spec) {
  const int64_t models = spec.models_size();
  const int64_t folds = FoldCount(spec.folds());
  const bool screened = spec.screen().keep() > 0;
  const int64_t kept = screened ? spec.screen().keep() : models;
  TrainedJobs jobs;
  // Of all models the trial fold, of those that are kept the others.
  jobs.at_most = screened ? models + kept * (folds - 1) : models * folds;
  jobs.at_least = jobs.at_most;
  if (spec.stop_when().ensemble_gain_below() > 0) {
    const int64_t complete = spec.stop_when().for_models() + 1;
    // Jobs that are done when so many models are complete, in each order.
    if (spec.order() == v1::JOB_ORDER_MODEL_MAJOR) {
      jobs.at_least = complete * folds + (screened ? models - complete : 0);
    } else {
      jobs.at_least = models + (folds - 2) * kept + complete;
    }
  }
  return jobs;
}

// What the sweep may decide for itself, in words; empty: nothing.
std::string RulesText(const v1::SweepSpec& spec) {
  const TrainedJobs jobs = CountTrained(spec);
  std::string text;
  if (!spec.extends().empty()) {
    absl::StrAppend(&text, "\nTrains on from the checkpoints of ",
                    spec.extends(), ".");
  }
  const size_t without_rules = text.size();
  if (spec.screen().keep() > 0) {
    absl::StrAppend(&text, "\nScreening: fold ", spec.screen().fold(),
                    " of all models first, then the other folds of the best ",
                    spec.screen().keep(), ".");
  }
  if (spec.stop_when().ensemble_gain_below() > 0) {
    absl::StrAppend(&text, "\nStops when ",
                    FormatPlural(spec.stop_when().for_models(), "model"),
                    " in a row gained less than ",
                    spec.stop_when().ensemble_gain_below(), ".");
  }
  if (text.size() > without_rules) {
    absl::StrAppend(&text, "\nAt most ", FormatPlural(jobs.at_most, "job"),
                    " will be trained, at least ", jobs.at_least, ".");
  }
  return text;
}

struct Totals {
  std::optional<int64_t> parameters;     // Of all models.
  std::optional<int64_t> multiply_adds;  // An image through all models.
  std::optional<int64_t> memory_bytes;   // Of the largest.
};

Totals Sum(const std::vector<ModelCost>& costs) {
  Totals totals;
  for (const ModelCost& cost : costs) {
    if (cost.parameters) {
      totals.parameters = totals.parameters.value_or(0) + *cost.parameters;
    }
    if (cost.multiply_adds) {
      totals.multiply_adds =
          totals.multiply_adds.value_or(0) + *cost.multiply_adds;
    }
    if (cost.memory_bytes) {
      totals.memory_bytes =
          std::max(totals.memory_bytes.value_or(0), *cost.memory_bytes);
    }
  }
  return totals;
}

std::string Text(const std::optional<int64_t>& figure,
                 std::string (*format)(int64_t)) {
  return figure ? format(*figure) : "-";
}

nlohmann::ordered_json Value(const std::optional<int64_t>& figure) {
  if (figure) return *figure;
  return nullptr;
}

ModelCost CostOf(const std::vector<ModelCost>& costs, int model) {
  return costs.empty() ? ModelCost() : costs[static_cast<size_t>(model)];
}

}  // namespace

absl::StatusOr<std::vector<ModelCost>> AskForCosts(const std::string& trainer,
                                                   const v1::SweepSpec& spec,
                                                   int num_labels) {
  if (!FileExists(trainer)) {
    return absl::NotFoundError(absl::StrCat(trainer, ": no such program"));
  }
  Json models = Json::array();
  for (const v1::ModelSpec& model : spec.models()) {
    models.push_back(ParseJson(ModelToJson(model)));
  }
  const Json question = {{"labels", num_labels}, {"models", std::move(models)}};
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::string text,
      RunProgram({trainer, "describe"}, JsonText(question)));
  const Json reply = ParseJson(text);
  if (!reply.is_object() || !reply.contains("models") ||
      !reply["models"].is_array() ||
      static_cast<int>(reply["models"].size()) != spec.models_size()) {
    return absl::InternalError(
        absl::StrCat(trainer, " describe: expected JSON with ",
                     FormatPlural(spec.models_size(), "model"), ", got \"",
                     text.substr(0, 200), "\""));
  }
  std::vector<ModelCost> costs;
  std::vector<std::string> mistakes;
  for (int i = 0; i < spec.models_size(); ++i) {
    const Json& answer = reply["models"][static_cast<size_t>(i)];
    const auto error = answer.is_object() ? answer.find("error") : answer.end();
    if (error != answer.end() && error->is_string()) {
      mistakes.push_back(absl::StrCat("model '", spec.models(i).name(),
                                      "': ", error->get<std::string>()));
    }
    if (!answer.is_object()) {
      costs.emplace_back();
      continue;
    }
    costs.push_back({.parameters = Figure(answer, "parameters"),
                     .multiply_adds = Figure(answer, "multiply_adds"),
                     .memory_bytes = Figure(answer, "memory_bytes")});
  }
  if (!mistakes.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
  }
  return costs;
}

std::vector<DryRunJob> PlanJobs(const v1::SweepSpec& spec) {
  const int folds = FoldCount(spec.folds());
  std::vector<DryRunJob> jobs;
  if (spec.order() == v1::JOB_ORDER_MODEL_MAJOR) {
    for (int model = 0; model < spec.models_size(); ++model) {
      for (int fold = 0; fold < folds; ++fold) jobs.push_back({model, fold});
    }
  } else {
    for (int fold = 0; fold < folds; ++fold) {
      for (int model = 0; model < spec.models_size(); ++model) {
        jobs.push_back({model, fold});
      }
    }
  }
  return jobs;
}

std::string DryRunText(const v1::SweepSpec& spec,
                       const std::vector<ModelCost>& costs, size_t width,
                       bool colour) {
  Table table({{"MODEL", Align::kLeft, true},
               {"FOLD", Align::kRight},
               {"ARCH", Align::kLeft, false, 0, true},
               {"EPOCHS", Align::kRight, false, 0, true},
               {"BATCH", Align::kRight, false, 0, true},
               {"PARAMETERS", Align::kRight},
               {"MULTIPLY-ADDS", Align::kRight},
               {"MEMORY", Align::kRight}});
  const std::vector<DryRunJob> jobs = PlanJobs(spec);
  for (const DryRunJob& job : jobs) {
    const v1::ModelSpec& model = spec.models(job.model);
    const ModelCost cost = CostOf(costs, job.model);
    const bool has_batch = !model.arch().has_none() &&
                           !model.arch().has_exec() &&
                           !model.arch().has_xgboost();
    table.AddRow({model.name(), absl::StrCat(job.fold), ArchName(model),
                  absl::StrCat(EpochsOf(model)),
                  has_batch ? absl::StrCat(model.train().batch()) : "-",
                  Text(cost.parameters, FormatMetric),
                  Text(cost.multiply_adds, FormatMetric),
                  Text(cost.memory_bytes, FormatBytes)});
  }
  const Totals totals = Sum(costs);
  std::string text =
      absl::StrCat(table.Render(width, colour), "\n",
                   FormatPlural(static_cast<int64_t>(jobs.size()), "job"), ": ",
                   FormatPlural(spec.models_size(), "model"), " x ",
                   FormatPlural(FoldCount(spec.folds()), "fold"));
  if (totals.parameters) {
    absl::StrAppend(&text, "; all models have ",
                    FormatMetric(*totals.parameters), " parameters");
  }
  if (totals.multiply_adds) {
    absl::StrAppend(&text, " and take ", FormatMetric(*totals.multiply_adds),
                    " multiply-adds an image");
  }
  if (totals.memory_bytes) {
    absl::StrAppend(&text, "; the largest job needs about ",
                    FormatBytes(*totals.memory_bytes));
  }
  return absl::StrCat(text, ".", RulesText(spec), "\n");
}

std::string DryRunJson(const v1::SweepSpec& spec,
                       const std::vector<ModelCost>& costs) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const DryRunJob& job : PlanJobs(spec)) {
    const v1::ModelSpec& model = spec.models(job.model);
    const ModelCost cost = CostOf(costs, job.model);
    rows.push_back({{"model", model.name()},
                    {"fold", job.fold},
                    {"arch", ArchName(model)},
                    {"epochs", EpochsOf(model)},
                    {"parameters", Value(cost.parameters)},
                    {"multiplyAdds", Value(cost.multiply_adds)},
                    {"memoryBytes", Value(cost.memory_bytes)}});
  }
  const Totals totals = Sum(costs);
  const TrainedJobs trained = CountTrained(spec);
  nlohmann::ordered_json reply;
  reply["sweep"] = spec.name();
  if (!spec.extends().empty()) reply["extends"] = spec.extends();
  reply["totals"] = {{"jobs", rows.size()},
                     {"models", spec.models_size()},
                     {"folds", FoldCount(spec.folds())},
                     {"trainedAtMost", trained.at_most},
                     {"trainedAtLeast", trained.at_least},
                     {"parameters", Value(totals.parameters)},
                     {"multiplyAdds", Value(totals.multiply_adds)},
                     {"largestMemoryBytes", Value(totals.memory_bytes)}};
  reply["jobs"] = std::move(rows);
  return JsonText(reply, 1) + "\n";
}

}  // namespace foldfarm
