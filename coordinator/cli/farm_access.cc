#include "coordinator/cli/farm_access.h"

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace foldfarm {
namespace {

struct Known {
  absl::Mutex mu;
  std::string address ABSL_GUARDED_BY(mu);
  ClientAccess access ABSL_GUARDED_BY(mu);
};

Known& TheFarm() {
  static auto& known = *new Known;
  return known;
}

}  // namespace

void SetFarmAccess(const std::string& address, const ClientAccess& access) {
  Known& known = TheFarm();
  absl::MutexLock lock(&known.mu);
  known.address = address;
  known.access = access;
}

absl::StatusOr<FarmChannel> FarmChannelOptions(const std::string& address) {
  Known& known = TheFarm();
  absl::MutexLock lock(&known.mu);
  if (known.address != address) return FarmChannel();
  return ToFarmChannel(known.access, address);
}

}  // namespace foldfarm
