// Text as UTF-8 (RFC 3629), and text that harms no terminal.
#ifndef FOLDFARM_COMMON_BASE_UTF8_H_
#define FOLDFARM_COMMON_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace foldfarm {

// Bytes of the character that `text` begins with; 0 when it begins with none:
// it is empty, a byte is wrong, or the sequence is overlong, a surrogate or
// beyond U+10FFFF. Pure.
size_t Utf8Length(absl::string_view text);

// Whether `text` is UTF-8 throughout. Pure.
bool IsUtf8(absl::string_view text);

// The first `size` bytes at most, and no half character at the end. Pure.
absl::string_view ClipUtf8(absl::string_view text, size_t size);

// Whether `text` is UTF-8 without control characters but tab. Those of Latin-1,
// U+0080 to U+009F, count: terminals obey them as they do ESC. Pure.
bool IsClean(absl::string_view text);

// Replaces every byte that IsClean() does not allow by '?', and cuts at
// `max_size` bytes, not within a character: safe in a proto string and on a
// terminal. Clean text costs one scan. Thread-compatible.
void MakeClean(std::string& text, size_t max_size);

// The same, of a copy. Pure.
std::string CleanText(absl::string_view text, size_t max_size);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_UTF8_H_
