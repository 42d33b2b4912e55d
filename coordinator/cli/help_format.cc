#include "coordinator/cli/help_format.h"

#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
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

}  // namespace

std::string WrapWords(const std::string& text, size_t width) {
  std::vector<std::string> lines(1);
  for (const absl::string_view word : absl::StrSplit(
           absl::StrReplaceAll(text, {{"\n", " "}}), ' ', absl::SkipEmpty())) {
    std::string& line = lines.back();
    if (line.empty()) {
      line = std::string(word);
    } else if (DisplayWidth(line) + 1 + DisplayWidth(word) <= width) {
      absl::StrAppend(&line, " ", word);
    } else {
      lines.emplace_back(word);
    }
  }
  return absl::StrJoin(lines, "\n");
}

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
