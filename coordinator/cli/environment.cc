#include "coordinator/cli/environment.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"

namespace foldfarm {
namespace {

absl::string_view Get(Environment environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? absl::string_view() : absl::string_view(value);
}

}  // namespace

bool WantsColour(bool is_terminal, Environment environment) {
  if (!Get(environment, "NO_COLOR").empty()) return false;
  const absl::string_view force = Get(environment, "FORCE_COLOR");
  if (force == "0" || force == "false") return false;
  if (!force.empty()) return true;
  const absl::string_view cli_force = Get(environment, "CLICOLOR_FORCE");
  if (!cli_force.empty() && cli_force != "0") return true;
  if (Get(environment, "CLICOLOR") == "0") return false;
  return is_terminal && CanRedraw(environment);
}

bool CanRedraw(Environment environment) {
  const absl::string_view term = Get(environment, "TERM");
  return !term.empty() && term != "dumb";
}

bool IsUtf8(Environment environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = absl::AsciiStrToLower(Get(environment, name));
    if (value.empty()) continue;
    return absl::StrContains(value, "utf-8") ||
           absl::StrContains(value, "utf8");
  }
  return false;
}

std::string ToAscii(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"━", "#"},
                                    {"─", "-"},
                                    {"…", "~"},
                                    {"▁", "_"},
                                    {"▂", "."},
                                    {"▃", ","},
                                    {"▄", "-"},
                                    {"▅", "="},
                                    {"▆", "+"},
                                    {"▇", "*"},
                                    {"█", "#"},
                                    {"✓", "+"},
                                    {"✗", "x"},
                                    {"▸", ">"},
                                    {"·", "."},
                                    {"↻", "~"},
                                    {"×", "x"},
                                    {"–", "-"}});
}

}  // namespace foldfarm
