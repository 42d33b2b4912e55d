#include "worker/agent/worker_fault.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/disk_space.h"

namespace foldfarm {
namespace {

constexpr int64_t kLeastRoom = 1 << 20;
// How all that is said of full disks begins.
constexpr absl::string_view kNoRoom = "no room ";

// Texts of cudaGetErrorString, of strerror and of our trainer (CheckDevice in
// worker/training/torch_setup.cc), and what they mean.
struct Sign {
  absl::string_view text;
  absl::string_view fault;
};
constexpr Sign kSigns[] = {
    {"uncorrectable ECC error", "the GPU has an uncorrectable memory error"},
    {"uncorrectable NVLink error", "the link between GPUs has an error"},
    {"no CUDA-capable device is detected", "the GPU is gone"},
    {"CUDA driver version is insufficient",
     "the GPU's driver is too old for the trainer"},
    {", but this trainer sees ",
     "the trainer does not see this worker's GPU; start the worker with "
     "--device cpu, or build the trainer against a CUDA LibTorch"},
    {"system has unsupported display driver / cuda driver combination",
     "the GPU's driver does not fit the system"},
    {"No space left on device", "no room on the disk"},
    {"Disk quota exceeded", "no room on the disk (quota)"},
};

}  // namespace

std::string WorkerFault(absl::string_view words) {
  for (const Sign& sign : kSigns) {
    if (absl::StrContains(words, sign.text)) return std::string(sign.fault);
  }
  return "";
}

bool IsDiskFault(absl::string_view fault) {
  return absl::StartsWith(fault, kNoRoom);
}

std::string RoomFault(const std::string& folder) {
  const absl::StatusOr<int64_t> free = FreeBytes(folder);
  if (!free.ok() || *free >= kLeastRoom) return "";
  return absl::StrCat(kNoRoom, "in ", folder, ": ", *free / 1024, " KiB free");
}

}  // namespace foldfarm
