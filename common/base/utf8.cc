#include "common/base/utf8.h"

#include <algorithm>

namespace foldfarm {
namespace {

// Bytes of the character that `text` begins with; 0: it must not stay.
// REQUIRES: `text` is not empty.
size_t CleanLength(absl::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first >= 0x20 && first < 0x7F) return 1;
  if (first < 0x80) return first == '\t' ? 1 : 0;
  const size_t length = Utf8Length(text);
  const bool control = first == 0xC2 && length == 2 &&
                       static_cast<unsigned char>(text[1]) < 0xA0;
  return control ? 0 : length;
}

// Whether `kLength`, the bytes of a character, is never 0.
template <size_t (*kLength)(absl::string_view)>
bool ConsistsOf(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = kLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  if (text.empty()) return 0;
  const unsigned first = byte(0);
  // RFC 3629, section 4: what the second byte may be depends on the first.
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF && tail(1)) return 2;
  if (first >= 0xE0 && first <= 0xEF && tail(1) && tail(2)) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0 && first <= 0xF4 && tail(1) && tail(2) && tail(3)) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) >= 0x90;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

bool IsUtf8(absl::string_view text) { return ConsistsOf<Utf8Length>(text); }

absl::string_view ClipUtf8(absl::string_view text, size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (text[size] & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

bool IsClean(absl::string_view text) { return ConsistsOf<CleanLength>(text); }

void MakeClean(std::string& text, size_t max_size) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = CleanLength(absl::string_view(text).substr(at));
    const size_t end = at + std::max<size_t>(length, 1);
    if (end > max_size) break;
    if (length == 0) text[at] = '?';
    at = end;
  }
  text.resize(at);
}

std::string CleanText(absl::string_view text, size_t max_size) {
  std::string clean(text);
  MakeClean(clean, max_size);
  return clean;
}

}  // namespace foldfarm
