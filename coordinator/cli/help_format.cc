#include "coordinator/cli/help_format.h"

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

constexpr size_t kLine = 80;
// Of the names.
constexpr size_t kColumn = 30;

std::string FirstSentence(const std::string& text) {
  std::string sentence = text.substr(0, text.find(". "));
  if (absl::EndsWith(sentence, ".")) sentence.pop_back();
  return sentence;
}

// Breaks that `text` has go first.
std::string WrapWords(const std::string& text, size_t width) {
  return WrapParts(
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty()), " ",
      width);
}

}  // namespace

HelpFormatter::HelpFormatter() { column_width(kColumn); }

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  return WrapWords(CLI::Formatter::make_option_desc(option), kLine - kColumn);
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  std::ostringstream out;
  CLI::detail::format_help(
      out, command->get_name(),
      WrapWords(FirstSentence(command->get_description()), kLine - kColumn),
      kColumn);
  return out.str();
}

std::string HelpFormatter::make_description(const CLI::App* command) const {
  const std::string text = CLI::Formatter::make_description(command);
  // The program's own is laid out by hand.
  return command->get_parent() == nullptr
             ? text
             : absl::StrCat(WrapWords(text, kLine), "\n");
}

}  // namespace foldfarm
