#include "coordinator/cli/number_text.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "coordinator/cli/format.h"

namespace foldfarm {

std::string WithoutTrailingZeros(std::string text) {
  if (text.find('.') == text.npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string TickText(double value) {
  const double whole = std::round(value);
  if (std::abs(value - whole) < 1e-9 && std::abs(whole) >= 1000) {
    return FormatCount(static_cast<int64_t>(whole));
  }
  return WithoutTrailingZeros(absl::StrFormat("%.4f", value));
}

}  // namespace foldfarm
