#include "coordinator/web/http_access.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/client_access.h"

namespace foldfarm {
namespace {

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

bool NamesThisMachine(absl::string_view header) {
  return IsLoopbackHost(HostOf(header));
}

absl::StatusOr<std::string> ReadHttpToken(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::string token(absl::StripAsciiWhitespace(text));
  FOLDFARM_RETURN_IF_ERROR(Annotate(CheckToken(token), path));
  return token;
}

absl::Status MayRead(TokenStore& tokens, absl::string_view authorization) {
  std::string token;
  std::string decoded;
  if (absl::ConsumePrefix(&authorization, "Bearer ")) {
    token = std::string(authorization);
  } else if (absl::ConsumePrefix(&authorization, "Basic ") &&
             absl::Base64Unescape(authorization, &decoded)) {
    // "anybody:TOKEN".
    token = decoded.substr(decoded.find(':') + 1);
  }
  if (!token.empty() && tokens.Find(token).has_value()) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat(
      token.empty() ? "this page asks for a token"
                    : "the token is not known (any more)",
      "; enter one of the coordinator's --tokens as the password (any name), "
      "or send it as `Authorization: Bearer TOKEN`"));
}

absl::Status MayChange(TokenStore& tokens, absl::string_view authorization) {
  std::optional<KnownToken> known;
  if (absl::ConsumePrefix(&authorization, "Bearer ")) {
    known = tokens.Find(authorization);
  }
  if (!known.has_value()) {
    return absl::PermissionDeniedError(
        "the token is missing or not known; it takes one of the role client "
        "from the coordinator's --tokens");
  }
  if (known->role == Role::kClient) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "the token of \"", known->name, "\" has the role ", RoleName(known->role),
      "; to change something takes the role client"));
}

}  // namespace foldfarm
