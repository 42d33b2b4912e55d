#include "coordinator/cli/report_html.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// Bytes of the UTF-8 character at the start of `text`, 0 when there is none:
// overlong forms, surrogates and what lies beyond U+10FFFF are not UTF-8.
size_t CharacterSize(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t size = lead < 0x80             ? 1
                      : (lead & 0xE0) == 0xC0 ? 2
                      : (lead & 0xF0) == 0xE0 ? 3
                      : (lead & 0xF8) == 0xF0 ? 4
                                              : 0;
  if (size == 0 || size > text.size()) return 0;
  uint32_t code = size == 1 ? lead : lead & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < kSmallest[size] || code > 0x10FFFF || surrogate ? 0 : size;
}

std::string Class(absl::string_view css) {
  return css.empty() ? "" : absl::StrCat(" class=\"", EscapeHtml(css), "\"");
}

std::string Join(absl::string_view a, absl::string_view b) {
  return absl::StrCat(a, a.empty() || b.empty() ? "" : " ", b);
}

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const char c = text[0];
    const bool control =
        size == 1 &&
        ((c >= 0 && c < 0x20 && c != '\n' && c != '\t') || c == 0x7F);
    if (size == 0 || control) {
      out.append(kReplacement.data(), kReplacement.size());
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else {
      out.append(text.data(), size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::string Element(absl::string_view tag, absl::string_view text,
                    absl::string_view css) {
  return absl::StrCat("<", tag, Class(css), ">", EscapeHtml(text), "</", tag,
                      ">");
}

HtmlCell HtmlCell::Raw(std::string html, std::string css) {
  HtmlCell cell("");
  cell.html = std::move(html);
  cell.css = std::move(css);
  return cell;
}

void HtmlTable::AddRow(const std::vector<HtmlCell>& cells,
                       absl::string_view css) {
  absl::StrAppend(&rows_, "<tr", Class(css), ">");
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string classes =
        Join(columns_[i].number ? "n" : "", cells[i].css);
    if (i == 0) {
      absl::StrAppend(&rows_, "<th scope=\"row\"", Class(classes), ">",
                      cells[i].html, "</th>");
    } else {
      absl::StrAppend(&rows_, "<td", Class(classes), ">", cells[i].html,
                      "</td>");
    }
  }
  rows_ += "</tr>\n";
}

std::string HtmlTable::Render(absl::string_view css) const {
  // The box takes the focus, so that keys scroll it.
  std::string html = absl::StrCat(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"",
      EscapeHtml(caption_), "\"><table", Class(css), ">\n<caption>",
      EscapeHtml(caption_), "</caption>\n<thead><tr>");
  for (const HtmlColumn& column : columns_) {
    absl::StrAppend(&html, "<th scope=\"col\"",
                    column.number ? " class=\"n\"" : "", ">",
                    EscapeHtml(column.header), "</th>");
  }
  absl::StrAppend(&html, "</tr></thead>\n<tbody>\n", rows_,
                  "</tbody></table></div>\n");
  return html;
}

std::string Figure(absl::string_view svg, absl::string_view caption,
                   absl::string_view css) {
  return absl::StrCat(
      "<figure", Class(css), ">", svg,
      caption.empty()
          ? ""
          : absl::StrCat("<figcaption>", EscapeHtml(caption), "</figcaption>"),
      "</figure>\n");
}

std::string Details(absl::string_view summary, absl::string_view html,
                    bool open) {
  return absl::StrCat("<details", open ? " open" : "", "><summary>",
                      EscapeHtml(summary), "</summary>\n", html,
                      "</details>\n");
}

std::string Paragraph(absl::string_view text, absl::string_view css) {
  return absl::StrCat(Element("p", text, css), "\n");
}

std::string Section(absl::string_view id, absl::string_view title,
                    absl::string_view html) {
  return absl::StrCat("<section id=\"", EscapeHtml(id), "\">\n<h2>",
                      EscapeHtml(title), "</h2>\n", html, "</section>\n");
}

std::string Subheading(absl::string_view title) {
  return absl::StrCat(Element("h3", title), "\n");
}

}  // namespace foldfarm
