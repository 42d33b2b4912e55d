#include "common/base/option_checks.h"

#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "common/base/edit_distance.h"

namespace foldfarm {
namespace {

// As a person writes it: 1048576, not 1.04858e+06.
std::string NumberText(double number) {
  return absl::StrFormat("%.15g", number);
}

// Accepts the finite numbers that `allowed` accepts, which `expected` tells.
OptionCheck Check(std::function<bool(double)> allowed, std::string expected) {
  return [allowed = std::move(allowed),
          expected = std::move(expected)](const std::string& text) {
    double number = 0;
    if (!absl::SimpleAtod(text, &number) || !std::isfinite(number)) {
      return absl::StrCat("got \"", text, "\", expected a number, ", expected);
    }
    return allowed(number)
               ? std::string()
               : absl::StrCat("got ", text, ", expected ", expected);
  };
}

}  // namespace

OptionCheck MoreThan(double low) {
  return Check([low](double number) { return number > low; },
               absl::StrCat("more than ", NumberText(low)));
}

OptionCheck AtLeast(double low) {
  return Check([low](double number) { return number >= low; },
               absl::StrCat("at least ", NumberText(low)));
}

OptionCheck InRange(double low, double high) {
  return Check(
      [low, high](double number) { return number >= low && number <= high; },
      absl::StrCat(NumberText(low), " to ", NumberText(high)));
}

std::string ExplainCommandLine(const RefusedCommandLine& refused) {
  std::string what = refused.message;
  if (!refused.unexpected.empty()) {
    // "--slot=2" is about --slot.
    const std::string& first = refused.unexpected.front();
    const std::string word = first.substr(0, first.find('='));
    if (absl::StartsWith(word, "-")) {
      const std::string near = Nearest(word, refused.options);
      what = absl::StrCat(
          "unknown option \"", word, "\"",
          near.empty() ? "" : absl::StrCat(" (did you mean \"", near, "\"?)"));
    } else if (refused.is_of_unexpected) {
      what = absl::StrCat("unexpected \"", first, "\"");
    }
  }
  return absl::StrCat(refused.program, ": ", what, "\nSee ", refused.program,
                      " --help.\n");
}

}  // namespace foldfarm
