#include "worker/agent/worker_fault.h"

#include <sys/statvfs.h>

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

constexpr uint64_t kLeastRoom = 1 << 20;

// Texts of cudaGetErrorString and strerror, and what they mean.
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

std::string RoomFault(const std::string& folder) {
  struct statvfs info;
  if (statvfs(folder.c_str(), &info) != 0) return "";
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  if (free >= kLeastRoom) return "";
  return absl::StrCat("no room in ", folder, ": ", free / 1024, " KiB free");
}

}  // namespace foldfarm
