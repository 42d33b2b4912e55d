// Names of devices: how a user writes them.
#ifndef FOLDFARM_COMMON_BASE_DEVICE_LIST_H_
#define FOLDFARM_COMMON_BASE_DEVICE_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The devices of "cpu" or "cuda:0,cuda:1", in their order. `for_several` is the
// option that puts several jobs on one of them, for the advice. Pure.
//
// Errors: INVALID_ARGUMENT for another name or one named twice.
absl::StatusOr<std::vector<std::string>> ParseDeviceList(
    absl::string_view text, absl::string_view for_several);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_DEVICE_LIST_H_
