#include "coordinator/cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

constexpr size_t kGap = 2;

size_t TotalWidth(const std::vector<size_t>& widths,
                  const std::vector<bool>& shown) {
  size_t total = 0;
  for (size_t i = 0; i < widths.size(); ++i) {
    if (shown[i]) total += widths[i] + (total > 0 ? kGap : 0);
  }
  return total;
}

// Takes columns off the widest column that may shrink until the table fits or
// none may any more.
void Shrink(const std::vector<Column>& columns, const std::vector<bool>& shown,
            size_t width, std::vector<size_t>& widths) {
  while (TotalWidth(widths, shown) > width) {
    size_t widest = columns.size();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!shown[i] || !columns[i].shrinks) continue;
      if (widths[i] <= columns[i].min_width) continue;
      if (widest == columns.size() || widths[i] > widths[widest]) widest = i;
    }
    if (widest == columns.size()) return;
    --widths[widest];
  }
}

}  // namespace

void Table::AddRow(std::vector<Cell> cells) {
  rows_.push_back(std::move(cells));
}

std::string Table::Render(size_t width, bool colour) const {
  std::vector<size_t> natural;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t widest = DisplayWidth(columns_[i].header);
    for (const std::vector<Cell>& row : rows_) {
      widest = std::max(widest, DisplayWidth(row[i].text));
    }
    natural.push_back(widest);
  }
  std::vector<bool> shown(columns_.size(), true);
  std::vector<size_t> widths = natural;
  if (width > 0) {
    Shrink(columns_, shown, width, widths);
    for (size_t i = columns_.size();
         i-- > 0 && TotalWidth(widths, shown) > width;) {
      if (!columns_[i].optional) continue;
      shown[i] = false;
      widths = natural;
      Shrink(columns_, shown, width, widths);
    }
  }
  const auto line = [&](const auto& cell_of) {
    std::string text;
    std::string pending;  // Blanks that are due when something follows.
    bool first = true;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!shown[i]) continue;
      const Cell cell = cell_of(i);
      const std::string cut = Truncate(cell.text, widths[i]);
      const size_t pad = widths[i] - std::min(widths[i], DisplayWidth(cut));
      if (!first) pending.append(kGap, ' ');
      first = false;
      if (columns_[i].align == Column::Align::kRight) pending.append(pad, ' ');
      if (!cut.empty()) {
        absl::StrAppend(&text, pending, Paint(cut, cell.style, colour));
        pending.clear();
      }
      if (columns_[i].align == Column::Align::kLeft) pending.append(pad, ' ');
    }
    return text + "\n";
  };
  std::string text =
      line([&](size_t i) { return Cell(columns_[i].header, Style::kHeader); });
  for (const std::vector<Cell>& row : rows_) {
    absl::StrAppend(&text, line([&](size_t i) { return row[i]; }));
  }
  return text;
}

}  // namespace foldfarm
