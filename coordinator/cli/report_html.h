// Pieces of the report's HTML. Every text that comes in is escaped here, so
// that a model's name or an error message is never markup.
//
// Pure functions and plain values; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_HTML_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_HTML_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace foldfarm {

// `text` as HTML text or as a quoted attribute's value. What is not UTF-8, and
// control characters other than tab and line break, become U+FFFD.
std::string EscapeHtml(absl::string_view text);

// <tag class="css">escaped text</tag>; no class when `css` is empty.
std::string Element(absl::string_view tag, absl::string_view text,
                    absl::string_view css = "");

struct HtmlCell {
  HtmlCell(std::string text, std::string css = "")  // NOLINT: implicit
      : html(EscapeHtml(text)), css(std::move(css)) {}
  HtmlCell(const char* text) : html(EscapeHtml(text)) {}  // NOLINT: implicit
  // `html` as it is.
  static HtmlCell Raw(std::string html, std::string css = "");

  std::string html;
  std::string css;
};

struct HtmlColumn {
  std::string header;
  // Aligned right, digits of equal width.
  bool number = false;
};

// A table with a caption; a row's first cell is its header.
class HtmlTable {
 public:
  HtmlTable(std::string caption, std::vector<HtmlColumn> columns)
      : caption_(std::move(caption)), columns_(std::move(columns)) {}

  // REQUIRES: as many cells as columns.
  void AddRow(const std::vector<HtmlCell>& cells, absl::string_view css = "");
  bool empty() const { return rows_.empty(); }

  // Within a box that scrolls where the screen is too narrow.
  std::string Render(absl::string_view css = "") const;

 private:
  const std::string caption_;
  const std::vector<HtmlColumn> columns_;
  std::string rows_;
};

// A drawing (SVG) with its caption below.
std::string Figure(absl::string_view svg, absl::string_view caption,
                   absl::string_view css = "");

// `html` folded away behind `summary` unless `open`; print shows it all.
std::string Details(absl::string_view summary, absl::string_view html,
                    bool open = false);

// A paragraph.
std::string Paragraph(absl::string_view text, absl::string_view css = "");

// <section> with a heading of level 2, to which #id leads.
std::string Section(absl::string_view id, absl::string_view title,
                    absl::string_view html);

// A heading of level 3.
std::string Subheading(absl::string_view title);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_HTML_H_
