#include "coordinator/web/http_access.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr size_t kMinTokenSize = 16;

// "localhost:7078" -> "localhost"; "[::1]:7078" -> "[::1]".
std::string HostOf(absl::string_view header) {
  const size_t bracket = header.rfind(']');
  const size_t colon = header.rfind(':');
  if (colon != absl::string_view::npos &&
      (bracket == absl::string_view::npos || colon > bracket)) {
    header = header.substr(0, colon);
  }
  return absl::AsciiStrToLower(header);
}

}  // namespace

bool SameSecret(absl::string_view a, absl::string_view b) {
  const std::string x = Sha256Hex(a);
  const std::string y = Sha256Hex(b);
  unsigned char difference = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference |= static_cast<unsigned char>(x[i] ^ y[i]);
  }
  return difference == 0;
}

bool NamesThisMachine(absl::string_view header) {
  const std::string host = HostOf(header);
  // Digits and dots only: 127.0.0.1.evil.example begins like an address.
  const bool number = std::all_of(host.begin(), host.end(), [](char c) {
    return c == '.' || absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  return host == "localhost" || host == "[::1]" ||
         (number && absl::StartsWith(host, "127."));
}

absl::StatusOr<std::string> ReadHttpToken(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string token(absl::StripAsciiWhitespace(text));
  const bool visible = std::all_of(token.begin(), token.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (token.size() < kMinTokenSize || !visible) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the token has ", token.size(), " characters, expected at ",
        "least ", kMinTokenSize, ", all of them letters, digits or signs; ",
        "`openssl rand -hex 32` makes one"));
  }
  return token;
}

}  // namespace foldfarm
