// What the options of a command line may be, and what a daemon says about one
// that it cannot read. For CLI11, which nothing here includes.
//
// CLI11's own checks write their bounds out in full, 309 digits for the largest
// double, and its own message for an unknown option has the words backwards.
#ifndef FOLDFARM_COMMON_BASE_OPTION_CHECKS_H_
#define FOLDFARM_COMMON_BASE_OPTION_CHECKS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace foldfarm {

// For CLI::Option::check(): what is wrong with an option's text, or "".
using OptionCheck = std::function<std::string(const std::string& text)>;

// "got 0, expected more than 0".
OptionCheck MoreThan(double low);
// "got -1, expected at least 0".
OptionCheck AtLeast(double low);
// "got 2000, expected 1 to 1024", both of which are allowed.
OptionCheck InRange(double low, double high);

// A command line that was refused.
struct RefusedCommandLine {
  std::string program;
  // That there are, with their dashes.
  std::vector<std::string> options;
  // Words that belong to no option, in their order.
  std::vector<std::string> unexpected;
  // What CLI11 says, and whether it is of those words.
  std::string message;
  bool is_of_unexpected = false;
};

// What a person reads:
//   foldfarm-worker: unknown option "--slot" (did you mean "--slots"?)
//   See foldfarm-worker --help.
//
// Something that is missing may be there under a mistyped name, so an unknown
// option is told first. Pure.
std::string ExplainCommandLine(const RefusedCommandLine& refused);

// The same for what a CLI::App throws; for CLI::App::failure_message().
template <typename App, typename Error>
std::string ExplainParseError(const App& app, const Error& error) {
  RefusedCommandLine refused;
  refused.program = app.get_name();
  for (const auto* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      refused.options.push_back(absl::StrCat("--", name));
    }
  }
  refused.unexpected = app.remaining();
  refused.message = error.what();
  refused.is_of_unexpected = error.get_name() == "ExtrasError";
  return ExplainCommandLine(refused);
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_OPTION_CHECKS_H_
