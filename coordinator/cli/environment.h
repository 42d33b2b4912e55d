// What the environment says about the terminal: colour or not, and whether its
// locale has more letters than ASCII.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_ENVIRONMENT_H_
#define FOLDFARM_COORDINATOR_CLI_ENVIRONMENT_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The value of a variable, or null: getenv, or a test's own.
using Environment = absl::FunctionRef<const char*(const char*)>;

// Whether to colour what goes to a terminal, or (`is_terminal` false) to a file
// or pipe. In this order: NO_COLOR (not empty) says no; FORCE_COLOR and
// CLICOLOR_FORCE say yes unless they are 0; CLICOLOR=0 says no; else terminals
// have colour unless TERM is missing or "dumb".
// Source: no-color.org, bixense.com/clicolors, force-color.org.
bool WantsColour(bool is_terminal, Environment environment);

// Whether lines on this terminal can be drawn over: TERM is neither missing nor
// "dumb".
bool CanRedraw(Environment environment);

// Whether LC_ALL, LC_CTYPE or LANG, the first that is set, names UTF-8.
bool IsUtf8(Environment environment);

// `text` with the bars, lines and marks that this program draws replaced by
// ASCII of the same width; other text is as it was.
std::string ToAscii(absl::string_view text);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_ENVIRONMENT_H_
