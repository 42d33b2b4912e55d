// Sweeps that train on from where a finished one ended (SweepSpec.extends).
//
// 1. Such a sweep is planned as any other. Then ExtendPlan finds for each job
//    the same one of the source, which must have succeeded and kept its
//    checkpoint, and refuses what cannot go on from there.
// 2. The job is stored with that checkpoint as if it were its own. So the first
//    lease resumes from it, and its epochs and metrics begin behind it.
// 3. Its key is made of the source's too: its result is not that of a training
//    from scratch. What is given from scratch again starts at the source's
//    checkpoint.
//
// Functions are thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_EXTENSION_H_
#define FOLDFARM_COORDINATOR_QUEUE_EXTENSION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/queue/sweep_plan.h"
#include "coordinator/store/reader.h"
#include "coordinator/store/rows.h"

namespace foldfarm {

// A job that is trained on from.
struct SourceJob {
  // "s3/130_gru/0".
  std::string name;
  // As it was trained.
  v1::ModelSpec model;
  uint32_t seed = 0;
  std::string result_key;
  // Of its checkpoint.
  int epoch = 0;
  std::vector<v1::ArtifactRef> checkpoint;
};

// The job of the sweep `extends` ("s3").
// Errors: INVALID_ARGUMENT when `extends` is no id; NOT_FOUND when there is no
// such sweep or job; FAILED_PRECONDITION when the job has not succeeded, or has
// no checkpoint.
absl::StatusOr<SourceJob> FindSourceJob(const Reader& reader,
                                        const std::string& extends,
                                        const std::string& model, int fold);

// Whether the training of `source` can go on as `model` of the same name says,
// with `seed`. `labels` are the dataset's.
// Errors: INVALID_ARGUMENT naming the model and the field.
absl::Status CheckTrainsOn(const v1::ModelSpec& model, uint32_t seed,
                           const std::vector<std::string>& labels,
                           const SourceJob& source);

// The key of a job that `key` would be of if it were trained from scratch.
std::string ExtendedKey(const std::string& key, const SourceJob& source);

// The key of a job that had the key `former` up to its checkpoint of `epoch`
// and goes on from there with the options of `key`: that of no job whose
// options stay the same.
std::string ResumedKey(const std::string& former, int epoch,
                       const std::string& key);

// Gives the jobs of `plan`, which was made of `spec`, the checkpoints that they
// go on from, and their keys. REQUIRES: `spec.extends` is set.
// Errors: those of FindSourceJob and CheckTrainsOn; INVALID_ARGUMENT when the
// source predicts, or has other models, another dataset or other folds.
absl::Status ExtendPlan(const Reader& reader, const v1::SweepSpec& spec,
                        const DatasetRow& dataset, SweepPlan& plan);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_EXTENSION_H_
