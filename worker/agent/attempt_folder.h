// Folders of the daemon on its box.
//
//   DIR/cache/DIGEST            datasets and other files that attempts start
//                               with, shared by all daemons on the box
//   DIR/scratch.lock            held (flock) for a moment by a daemon that
//                               starts or ends, so that two which do so
//                               together are not in each other's way
//   DIR/scratch/NAME.lock       held (flock) while daemon NAME lives
//   DIR/scratch/NAME/TOKEN-RANDOM/   one attempt: attempt.json, dataset,
//                               inputs, results
//   DIR/scratch/NAME~RANDOM     being removed
//
// A scratch folder whose lock nobody holds belonged to a daemon that was killed
// and is removed by the next one that starts.
#ifndef FOLDFARM_WORKER_AGENT_ATTEMPT_FOLDER_H_
#define FOLDFARM_WORKER_AGENT_ATTEMPT_FOLDER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/files.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

// How long a daemon waits for others that start or end, each of which takes
// milliseconds unless it is stopped.
inline constexpr absl::Duration kScratchPatience = absl::Seconds(10);

// A daemon's scratch folder; removed with everything in it by the destructor.
class ScratchFolder {
 public:
  // Creates DIR/scratch/NAME and removes what dead daemons left in DIR/scratch.
  // Waits up to `patience` for other daemons that start or end.
  // Errors: FAILED_PRECONDITION when a daemon of that name lives, or another
  // is in the way for longer; those of the disk.
  static absl::StatusOr<std::unique_ptr<ScratchFolder>> Create(
      const std::string& dir, const std::string& name,
      absl::Duration patience = kScratchPatience);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  ScratchFolder(std::string path, std::unique_ptr<FileLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  const std::string path_;
  std::unique_ptr<FileLock> lock_;
};

// One attempt's folder; removed by the destructor.
class AttemptFolder {
 public:
  // Creates SCRATCH/TOKEN-RANDOM with attempt.json, and dataset.safetensors as
  // a hard link (or else a symbolic one) to the file `dataset`.
  static absl::StatusOr<std::unique_ptr<AttemptFolder>> Create(
      const std::string& scratch, int64_t token, const v1::AttemptSpec& spec,
      const std::string& dataset);
  ~AttemptFolder();
  AttemptFolder(const AttemptFolder&) = delete;
  AttemptFolder& operator=(const AttemptFolder&) = delete;

  // Puts the file `from`, which is shared with other attempts, into the folder
  // as `name`. A user's file is a copy that the attempt may change and run
  // (mode 0755); others are linked: weights to start from, and what a former
  // result left, for attempts that predict with it.
  //
  // Errors: INVALID_ARGUMENT for a name that leads out of the folder or is the
  // farm's own (but for "init.weights" when kLinked, and the names of results
  // when kResult); ALREADY_EXISTS for one that is there; those of the disk.
  enum class Input { kLinked, kUsers, kResult };
  absl::Status AddInput(const std::string& name, const std::string& from,
                        Input kind);

  const std::string& path() const { return path_; }

 private:
  explicit AttemptFolder(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_ATTEMPT_FOLDER_H_
