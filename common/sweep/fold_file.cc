#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/utf8.h"
#include "common/sweep/sweep.h"
#include "common/sweep/sweep_errors.h"

namespace foldfarm {
namespace {

// As many folds as `folds.count` may ask for.
constexpr int kMaxFolds = 100;
constexpr size_t kMaxMistakes = 20;

// Cells of one line, unquoted (RFC 4180, but no line breaks in cells).
std::vector<std::string> Cells(absl::string_view line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back() += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  return cells;
}

class FoldFileParser {
 public:
  explicit FoldFileParser(absl::string_view file_name)
      : file_name_(file_name) {}

  absl::StatusOr<std::vector<v1::FoldAssignment>> Parse(absl::string_view csv) {
    absl::ConsumePrefix(&csv, "\xEF\xBB\xBF");
    int line_number = 0;
    for (absl::string_view line : absl::StrSplit(csv, '\n')) {
      ++line_number;
      absl::ConsumeSuffix(&line, "\r");
      if (line_number == 1) {
        ReadHeader(line);
        if (!mistakes_.empty()) break;
      } else if (!line.empty()) {
        ReadRow(line_number, Cells(line));
      }
    }
    if (mistakes_.empty()) CheckFolds();
    if (mistakes_.empty()) return std::move(rows_);
    if (mistakes_.size() > kMaxMistakes) {
      const size_t more = mistakes_.size() - kMaxMistakes;
      mistakes_.resize(kMaxMistakes);
      mistakes_.push_back(
          absl::StrCat(file_name_, ": and ", more, " more mistakes"));
    }
    return absl::InvalidArgumentError(absl::StrJoin(mistakes_, "\n"));
  }

 private:
  void Add(int line, absl::string_view mistake) {
    mistakes_.push_back(absl::StrCat(file_name_, ":", line, ": ", mistake));
  }

  void ReadHeader(absl::string_view line) {
    const std::vector<std::string> names = Cells(line);
    columns_ = names.size();
    const auto find = [&](const char* name) {
      const auto at = std::find(names.begin(), names.end(), name);
      if (at == names.end()) {
        Add(1, absl::StrCat("no column '", name, "', got ",
                            Quoted(absl::StrJoin(names, ","))));
      }
      return static_cast<size_t>(at - names.begin());
    };
    sample_column_ = find("sample_id");
    fold_column_ = find("fold");
  }

  void ReadRow(int line, const std::vector<std::string>& cells) {
    if (cells.size() != columns_) {
      return Add(line, absl::StrCat("got ", cells.size(),
                                    cells.size() == 1 ? " cell" : " cells",
                                    ", expected ", columns_));
    }
    const std::string& sample = cells[sample_column_];
    if (sample.empty()) return Add(line, "sample_id is empty");
    if (!IsUtf8(sample)) {
      return Add(line, absl::StrCat("sample_id is \"",
                                    absl::CHexEscape(sample.substr(0, 60)),
                                    "\", expected UTF-8 text"));
    }
    const auto [first, is_new] = line_by_sample_.emplace(sample, line);
    if (!is_new) {
      return Add(line, absl::StrCat("duplicate sample ", Quoted(sample),
                                    ", first on line ", first->second));
    }
    int fold = 0;
    if (!absl::SimpleAtoi(cells[fold_column_], &fold) || fold < 0 ||
        fold >= kMaxFolds) {
      return Add(line, absl::StrCat("fold is ", Quoted(cells[fold_column_]),
                                    ", expected a whole number from 0 to ",
                                    kMaxFolds - 1));
    }
    v1::FoldAssignment row;
    row.set_sample_id(sample);
    row.set_fold(fold);
    rows_.push_back(std::move(row));
    folds_.insert(fold);
  }

  void CheckFolds() {
    if (rows_.empty()) return Add(1, "no samples");
    const int folds = *folds_.rbegin() + 1;
    for (int fold = 0; fold < folds; ++fold) {
      if (folds_.count(fold) == 0) {
        Add(1, absl::StrCat("fold ", fold, " has no samples, but fold ",
                            folds - 1, " has"));
      }
    }
  }

  const std::string file_name_;
  size_t columns_ = 0;
  size_t sample_column_ = 0;
  size_t fold_column_ = 0;
  std::map<std::string, int> line_by_sample_;
  std::set<int> folds_;
  std::vector<v1::FoldAssignment> rows_;
  std::vector<std::string> mistakes_;
};

}  // namespace

absl::StatusOr<std::vector<v1::FoldAssignment>> ParseFoldFile(
    absl::string_view csv, absl::string_view file_name) {
  return FoldFileParser(file_name).Parse(csv);
}

}  // namespace foldfarm
