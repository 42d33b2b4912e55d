#include "common/base/ids.h"

#include <openssl/rand.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"

namespace foldfarm {

std::string NewRandomId() {
  unsigned char bytes[16];
  RAND_bytes(bytes, sizeof(bytes));
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes), sizeof(bytes)));
}

bool IsValidName(absl::string_view name, size_t max_size) {
  return !name.empty() && name.size() <= max_size && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
         });
}

bool LooksLikeSweepId(absl::string_view name) {
  return name.size() > 1 && name[0] == 's' &&
         std::all_of(name.begin() + 1, name.end(),
                     [](unsigned char c) { return c >= '0' && c <= '9'; });
}

uint32_t DeriveSeed(uint32_t base, absl::string_view text, uint32_t index) {
  const std::string digest =
      Sha256Hex(absl::StrCat(base, "/", text, "/", index));
  return static_cast<uint32_t>(std::stoul(digest.substr(0, 8), nullptr, 16));
}

}  // namespace foldfarm
