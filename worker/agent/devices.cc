#include "worker/agent/devices.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/device_list.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// One node /dev/nvidiaN a GPU that this process may use; in a container the
// driver's list in /proc may show GPUs of the host that are not passed in.
int CountGpus() {
  const auto names = ListDirectory("/dev");
  if (!names.ok()) return 0;
  return static_cast<int>(
      std::count_if(names->begin(), names->end(), [](absl::string_view name) {
        int number = 0;
        return absl::ConsumePrefix(&name, "nvidia") &&
               absl::SimpleAtoi(name, &number);
      }));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseDevices(absl::string_view text) {
  if (text != "auto") {
    auto devices = ParseDeviceList(text, "--slots");
    if (!devices.ok()) return Annotate(devices.status(), "--device");
    return devices;
  }
  std::vector<std::string> devices;
  const int gpus = CountGpus();
  for (int i = 0; i < gpus; ++i) devices.push_back(absl::StrCat("cuda:", i));
  if (devices.empty()) devices.push_back("cpu");
  return devices;
}

absl::StatusOr<std::vector<std::string>> ChooseDevices(
    absl::string_view text, const std::vector<std::string>& seen) {
  if (text == "auto") {
    std::vector<std::string> gpus;
    for (const std::string& device : seen) {
      if (device != "cpu") gpus.push_back(device);
    }
    return gpus.empty() ? std::vector<std::string>{"cpu"} : gpus;
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<std::string> devices,
                            ParseDevices(text));
  for (const std::string& device : devices) {
    if (device == "cpu" ||
        std::find(seen.begin(), seen.end(), device) != seen.end()) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "--device: the trainer does not see ", device, ", it sees ",
        absl::StrJoin(seen, ", "),
        seen.size() > 1 ? "; name one of these"
                        : "; start the worker with --device cpu, or build the "
                          "trainer against a CUDA LibTorch"));
  }
  return devices;
}

std::string VisibleGpus(absl::string_view device, const char* inherited) {
  size_t index = 0;
  if (!absl::ConsumePrefix(&device, "cuda:") ||
      !absl::SimpleAtoi(device, &index)) {
    return "";
  }
  if (inherited != nullptr && *inherited != '\0') {
    const std::vector<std::string> visible = absl::StrSplit(inherited, ',');
    if (index < visible.size()) return visible[index];
  }
  return absl::StrCat(index);
}

std::string DeviceInside(absl::string_view device) {
  return device == "cpu" ? "cpu" : "cuda:0";
}

SlotPool::SlotPool(std::vector<std::string> devices, int slots)
    : devices_(std::move(devices)), taken_(static_cast<size_t>(slots), false) {}

int SlotPool::free() const {
  return static_cast<int>(std::count(taken_.begin(), taken_.end(), false));
}

SlotPool::Grant SlotPool::Take(int count) {
  // (free, -taken) a device: the most room, then the least work.
  std::vector<std::pair<int, int>> room(devices_.size());
  for (size_t i = 0; i < taken_.size(); ++i) {
    auto& [free, negative_taken] = room[i % devices_.size()];
    taken_[i] ? --negative_taken : ++free;
  }
  const size_t best = static_cast<size_t>(
      std::max_element(room.begin(), room.end()) - room.begin());
  Grant grant;
  grant.device = devices_[best];
  for (const bool on_best : {true, false}) {
    for (size_t i = 0; i < taken_.size(); ++i) {
      if (static_cast<int>(grant.slots.size()) == count) return grant;
      if (taken_[i] || (i % devices_.size() == best) != on_best) continue;
      taken_[i] = true;
      grant.slots.push_back(static_cast<int>(i));
    }
  }
  return grant;
}

void SlotPool::Release(const Grant& grant) {
  for (const int slot : grant.slots) taken_[static_cast<size_t>(slot)] = false;
}

}  // namespace foldfarm
