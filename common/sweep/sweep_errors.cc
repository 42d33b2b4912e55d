#include "common/sweep/sweep_errors.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxErrors = 50;

}  // namespace

void SweepErrors::Add(FilePosition position, std::string message) {
  errors_.push_back({position, std::move(message)});
}

void SweepErrors::AddElsewhere(std::string message) {
  elsewhere_.push_back(std::move(message));
}

std::vector<std::string> SweepErrors::Messages() const {
  std::vector<std::string> messages;
  for (const Error& error : errors_) messages.push_back(error.message);
  messages.insert(messages.end(), elsewhere_.begin(), elsewhere_.end());
  return messages;
}

absl::Status SweepErrors::ToStatus() const {
  if (empty()) return absl::OkStatus();
  std::vector<Error> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Error& a, const Error& b) {
                     return std::tie(a.position.line, a.position.column) <
                            std::tie(b.position.line, b.position.column);
                   });
  std::vector<std::string> lines;
  std::set<std::string> said;
  for (const Error& error : sorted) {
    std::string line = absl::StrCat(file_name_, ":", error.position.line, ":",
                                    error.position.column, ": ", error.message);
    if (said.insert(line).second) lines.push_back(std::move(line));
  }
  lines.insert(lines.end(), elsewhere_.begin(), elsewhere_.end());
  if (lines.size() > kMaxErrors) {
    const size_t more = lines.size() - kMaxErrors;
    lines.resize(kMaxErrors);
    lines.push_back(absl::StrCat(file_name_, ": and ", more, " more mistakes"));
  }
  return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

std::string DidYouMean(absl::string_view word,
                       const std::vector<std::string>& known) {
  // A longer word has more room for slips; a hostile one is not worth the time.
  if (word.size() > 100) return "";
  const size_t limit = std::max<size_t>(1, word.size() / 3);
  size_t best_distance = limit + 1;
  absl::string_view best;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best.empty() ? "" : absl::StrCat(" (did you mean '", best, "'?)");
}

std::string Quoted(absl::string_view text) {
  constexpr size_t kMax = 60;
  if (text.size() <= kMax) {
    return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\"");
  }
  size_t end = kMax;
  // Not through the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text.substr(0, end)),
                      "...\"");
}

}  // namespace foldfarm
