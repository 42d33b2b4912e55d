#include "common/base/device_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace foldfarm {

absl::StatusOr<std::vector<std::string>> ParseDeviceList(
    absl::string_view text, absl::string_view for_several) {
  std::vector<std::string> devices;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    absl::string_view number = part;
    int index = 0;
    const bool cuda = absl::ConsumePrefix(&number, "cuda:") &&
                      absl::SimpleAtoi(number, &index) && index >= 0;
    if (part != "cpu" && !cuda) {
      return absl::InvalidArgumentError(
          absl::StrCat("got \"", part,
                       "\", expected auto, cpu or cuda:N, e.g. cuda:0,cuda:1"));
    }
    std::string device = cuda ? absl::StrCat("cuda:", index) : "cpu";
    if (std::find(devices.begin(), devices.end(), device) != devices.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(device, " is named twice; use ", for_several,
                       " to run several jobs on it"));
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

}  // namespace foldfarm
