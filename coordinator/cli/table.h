// Lays out rows in columns that fit a width.
//
// Pure: the same cells and width give the same text. Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_TABLE_H_
#define FOLDFARM_COORDINATOR_CLI_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "coordinator/cli/console.h"

namespace foldfarm {

struct Column {
  std::string header;
  enum class Align { kLeft, kRight } align = Align::kLeft;
  // May be cut down to `min_width` columns when the table is too wide.
  bool shrinks = false;
  size_t min_width = 12;
  // Left out, the last such column first, when shrinking does not suffice.
  bool optional = false;
};

struct Cell {
  Cell(std::string text, Style style = Style::kPlain)  // NOLINT: implicit
      : text(std::move(text)), style(style) {}
  Cell(const char* text) : text(text) {}  // NOLINT: implicit
  std::string text;
  Style style = Style::kPlain;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES: as many cells as columns.
  void AddRow(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }

  // Header and rows, each line ended. `width` 0: as wide as it needs to be.
  std::string Render(size_t width, bool colour) const;

 private:
  const std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_TABLE_H_
