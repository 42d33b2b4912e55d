// Text as UTF-8 (RFC 3629).
#ifndef FOLDFARM_COMMON_BASE_UTF8_H_
#define FOLDFARM_COMMON_BASE_UTF8_H_

#include <cstddef>

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

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_UTF8_H_
