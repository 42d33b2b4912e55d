// From a sweep's specification to its folds and jobs.
//
// Pure: equal input gives equal folds, seeds and result keys on every machine.
#ifndef FOLDFARM_COORDINATOR_QUEUE_SWEEP_PLAN_H_
#define FOLDFARM_COORDINATOR_QUEUE_SWEEP_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/spectra/prepared_dataset.h"
#include "coordinator/store/rows.h"
#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// One (model, fold) to train.
struct PlannedJob {
  // Index into SweepSpec.models.
  int model = 0;
  int fold = 0;
  int slots = 1;
  bool needs_exec = false;
  // Where the job is trained otherwise than its sweep says, as the one that it
  // trains on from was.
  std::optional<v1::ModelSpec> changed_model;
  // EpochsOf() the model.
  int epochs = 0;
  // Equal for jobs whose results are interchangeable: SHA-256 over dataset,
  // model without its name, sample lists, seed, draws and trainer protocol.
  std::string result_key;
  // What it goes on from instead of starting from scratch; see extension.h.
  int checkpoint_epoch = 0;
  std::vector<v1::ArtifactRef> checkpoint;
};

struct SweepPlan {
  // By fold; only `train_samples` and `validation_samples` are set.
  std::vector<v1::AttemptSpec> folds;
  // In the sweep's order.
  std::vector<PlannedJob> jobs;
};

// Plans an expanded specification. Only labelled samples of split "train" take
// part, and of these no more than `limit_samples`.
//
// REQUIRES: the digests of InitSpec are filled in, as the key is made of them.
// Errors: INVALID_ARGUMENT naming the model, sample or field at fault; also for
// a fold or a stage with fewer train samples than the trainer asks for, which
// is 2 for every arch but none and exec.
absl::StatusOr<SweepPlan> PlanSweep(const v1::SweepSpec& spec,
                                    const DatasetHeader& dataset,
                                    const std::string& dataset_digest);

// Of sweeps, either way.
inline constexpr int kMostPriority = 1000;

// Checks the length of what makes a submission repeatable.
// Errors: INVALID_ARGUMENT.
absl::Status CheckRequestId(absl::string_view request_id);

// Checks names, numbers and sizes of an expanded specification, whatever the
// dataset. Errors: INVALID_ARGUMENT naming the model or field at fault.
absl::Status CheckSweepSpec(const v1::SweepSpec& spec);

// Checks that labels which a model names are the dataset's `labels`.
// Errors: INVALID_ARGUMENT with near misses.
absl::Status CheckModelLabels(const v1::ModelSpec& model,
                              const std::vector<std::string>& labels);

// Seed of all draws of a job.
uint32_t JobSeed(const v1::SweepSpec& spec, const v1::ModelSpec& model,
                 int fold);

// Of `labels`, the dataset's, those that the model predicts, in that order.
std::vector<std::string> LabelsOf(const v1::ModelSpec& model,
                                  const std::vector<std::string>& labels);

// The labels of a dataset, in its order.
std::vector<std::string> LabelNames(const v1::Dataset& dataset);

// The model of a job: with the options that it was retried with, or the
// sweep's.
const v1::ModelSpec& ModelOf(const JobRow& job, const v1::SweepSpec& spec);

// Epochs that a model's attempt will count to: of all stages, or what trees and
// users' programs call so.
int EpochsOf(const v1::ModelSpec& model);

// What decides the result of one job.
struct KeyedJob {
  const v1::SweepSpec& spec;
  const v1::ModelSpec& model;
  // Labels that the model predicts, and all of the dataset.
  const std::vector<std::string>& own_labels;
  const std::vector<std::string>& all_labels;
  const std::string& dataset_digest;
  // Only the sample lists.
  const v1::AttemptSpec& samples;
  int fold = 0;
};

// The key under which its result is found again, as PlanSweep makes it.
// Errors: INVALID_ARGUMENT when the model is not valid UTF-8.
absl::StatusOr<std::string> ResultKey(const KeyedJob& job);

// TTA draws of a sweep.
int TtaDraws(const v1::SweepSpec& spec);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_SWEEP_PLAN_H_
