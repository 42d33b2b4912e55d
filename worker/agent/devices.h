// Devices of this box and the slots on them.
#ifndef FOLDFARM_WORKER_AGENT_DEVICES_H_
#define FOLDFARM_WORKER_AGENT_DEVICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// Devices that --device names: "cpu"; "cuda:0,cuda:1"; "auto": every NVIDIA GPU
// that the driver lists, else the CPU.
//
// Errors: INVALID_ARGUMENT for another name or one named twice.
absl::StatusOr<std::vector<std::string>> ParseDevices(absl::string_view text);

// The same, of `seen`: "cpu" and the GPUs that the trainer sees. "auto" is
// every GPU of these, else the CPU.
//
// Errors: INVALID_ARGUMENT as above and for a GPU that is not in `seen`.
absl::StatusOr<std::vector<std::string>> ChooseDevices(
    absl::string_view text, const std::vector<std::string>& seen);

// What a user's program on `device` gets as CUDA_VISIBLE_DEVICES: the one GPU,
// out of those that the daemon's own value `inherited` (nullptr: unset) leaves;
// empty for the CPU.
std::string VisibleGpus(absl::string_view device, const char* inherited);

// How such a program calls its device: its only GPU is cuda:0.
std::string DeviceInside(absl::string_view device);

// Which slots of a worker are taken. Slot i is on device i modulo their number.
// Not thread-safe.
class SlotPool {
 public:
  // Slots that one lease holds and the device that its attempt uses.
  struct Grant {
    std::vector<int> slots;
    std::string device;
  };

  // REQUIRES: devices is not empty, slots >= 1.
  SlotPool(std::vector<std::string> devices, int slots);

  int size() const { return static_cast<int>(taken_.size()); }
  int free() const;

  // Takes `count` slots, first those of the device with most free ones (of
  // several: the one with fewest taken). Takes what there is when fewer are
  // free: the coordinator has granted the lease.
  Grant Take(int count);
  void Release(const Grant& grant);

 private:
  const std::vector<std::string> devices_;
  std::vector<bool> taken_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_DEVICES_H_
