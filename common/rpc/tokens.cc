#include "common/rpc/tokens.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxTokenSize = 512;
constexpr size_t kMaxNameSize = 100;
constexpr size_t kMaxFileBytes = 1 << 20;
constexpr absl::Duration kLookInterval = absl::Seconds(1);
constexpr char kHashed[] = "sha256:";

struct NamedRole {
  Role role;
  absl::string_view name;
};
constexpr std::array<NamedRole, 3> kRoles = {{{Role::kReadOnly, "read-only"},
                                              {Role::kClient, "client"},
                                              {Role::kWorker, "worker"}}};

// Compares all of two texts.
bool SameText(absl::string_view x, absl::string_view y) {
  if (x.size() != y.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference = static_cast<unsigned char>(
        difference | static_cast<unsigned char>(x[i] ^ y[i]));
  }
  return difference == 0;
}

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(path, "cannot read");
  if ((info.st_mode & S_IRWXO) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path,
        ": everybody on this machine may read or write it, and it holds "
        "tokens; run `chmod 600 ",
        path, "`"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", text.size(), " bytes, expected at most ",
                     kMaxFileBytes, "; is it a token file?"));
  }
  return text;
}

absl::StatusOr<KnownToken> ParseLine(absl::string_view line) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.size() != 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", words.size(), words.size() == 1 ? " word" : " words",
        ", expected three: ROLE NAME TOKEN; `foldfarm token new` prints such a "
        "line"));
  }
  KnownToken token;
  const std::optional<Role> role = ParseRole(words[0]);
  if (!role.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("role is \"", words[0].substr(0, 40),
                     "\", expected client, worker or read-only"));
  }
  token.role = *role;
  token.name = words[1];
  absl::string_view plain = token.name;
  if (token.role == Role::kWorker) absl::ConsumeSuffix(&plain, "*");
  if (token.name != "*" && !IsValidName(plain, kMaxNameSize)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name is \"", token.name.substr(0, 40),
        "\", expected letters, digits, '.', '_' and '-', at most ",
        kMaxNameSize, token.role == Role::kWorker ? "; '*' at its end" : ""));
  }
  if (token.name == "*" && token.role != Role::kWorker) {
    return absl::InvalidArgumentError(
        "name is \"*\", which only a worker's token may have");
  }
  absl::string_view secret = words[2];
  if (absl::ConsumePrefix(&secret, kHashed)) {
    if (!IsSha256Hex(secret)) {
      return absl::InvalidArgumentError(
          "what follows sha256: is not 64 lower-case hex digits");
    }
    token.sha256 = std::string(secret);
  } else {
    FOLDFARM_RETURN_IF_ERROR(CheckToken(secret));
    token.sha256 = Sha256Hex(secret);
  }
  return token;
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev &&
         a.st_size == b.st_size && a.st_mode == b.st_mode &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec &&
         a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

}  // namespace

absl::string_view RoleName(Role role) {
  for (const NamedRole& known : kRoles) {
    if (known.role == role) return known.name;
  }
  return "unknown";
}

std::optional<Role> ParseRole(absl::string_view name) {
  for (const NamedRole& known : kRoles) {
    if (known.name == name) return known.role;
  }
  return std::nullopt;
}

bool SameSecret(absl::string_view a, absl::string_view b) {
  return SameText(Sha256Hex(a), Sha256Hex(b));
}

std::string NewToken() {
  return absl::StrCat("ff_", NewRandomId(), NewRandomId());
}

absl::Status CheckToken(absl::string_view token) {
  const bool visible = std::all_of(token.begin(), token.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (token.size() >= kMinTokenSize && token.size() <= kMaxTokenSize &&
      visible) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the token has ", token.size(), " characters, expected ", kMinTokenSize,
      " to ", kMaxTokenSize, ", all of them letters, digits or signs; ",
      "`foldfarm token new` makes one"));
}

std::string TokenLine(Role role, absl::string_view name,
                      absl::string_view token) {
  return absl::StrCat(RoleName(role), " ", name, " ", kHashed,
                      Sha256Hex(token));
}

bool MayWorkAs(absl::string_view token_name, absl::string_view worker) {
  absl::string_view prefix = token_name;
  if (absl::ConsumeSuffix(&prefix, "*")) {
    return absl::StartsWith(worker, prefix);
  }
  return absl::ConsumePrefix(&worker, token_name) &&
         (worker.empty() || worker[0] == '-');
}

absl::StatusOr<std::vector<KnownToken>> ParseTokens(absl::string_view text,
                                                    const std::string& path,
                                                    bool empty) {
  std::vector<KnownToken> tokens;
  std::vector<int> lines;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    absl::StatusOr<KnownToken> token = ParseLine(line);
    if (!token.ok()) {
      return Annotate(token.status(), absl::StrCat(path, ":", number));
    }
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].sha256 != token->sha256) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          path, ":", number, ": the token of ", token->name, " stands in line ",
          lines[i], " already; give everyone a token of their own"));
    }
    tokens.push_back(*std::move(token));
    lines.push_back(number);
  }
  if (tokens.empty() && (!empty || text.empty())) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": holds no token, so nobody could call; add one with `foldfarm "
        "token new --role client --name NAME --add-to ",
        path, "`"));
  }
  return tokens;
}

absl::StatusOr<std::vector<KnownToken>> ReadTokenFile(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadSecretFile(path));
  return ParseTokens(text, path);
}

absl::StatusOr<std::string> ReadOneToken(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadSecretFile(path));
  std::string token(absl::StripAsciiWhitespace(text));
  FOLDFARM_RETURN_IF_ERROR(Annotate(CheckToken(token), path));
  return token;
}

absl::StatusOr<std::unique_ptr<TokenStore>> TokenStore::Open(
    const std::string& path, Clock& clock) {
  std::unique_ptr<TokenStore> store(new TokenStore(path, clock));
  absl::MutexLock lock(&store->mu_);
  store->looked_ = clock.Monotonic();
  FOLDFARM_RETURN_IF_ERROR(store->ReloadLocked(/*empty=*/false));
  return store;
}

absl::Status TokenStore::Reload() {
  absl::MutexLock lock(&mu_);
  return ReloadLocked(/*empty=*/true);
}

absl::Status TokenStore::ReloadLocked(bool empty) {
  if (stat(path_.c_str(), &seen_) != 0) seen_ = {};
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadSecretFile(path_));
  FOLDFARM_ASSIGN_OR_RETURN(tokens_, ParseTokens(text, path_, empty));
  return absl::OkStatus();
}

std::optional<KnownToken> TokenStore::Find(absl::string_view token) {
  const std::string digest = Sha256Hex(token);
  absl::MutexLock lock(&mu_);
  if (clock_.Monotonic() - looked_ >= kLookInterval) {
    looked_ = clock_.Monotonic();
    struct stat now = {};
    if (stat(path_.c_str(), &now) != 0) now = {};
    if (!SameFile(now, seen_)) {
      if (const absl::Status status = ReloadLocked(/*empty=*/true);
          status.ok()) {
        SPDLOG_INFO("tokens={} read again: {} tokens", path_, tokens_.size());
      } else {
        SPDLOG_ERROR("tokens stay as they were: {}",
                     std::string(status.message()));
      }
    }
  }
  std::optional<KnownToken> found;
  for (const KnownToken& known : tokens_) {
    if (SameText(known.sha256, digest)) found = known;
  }
  return found;
}

}  // namespace foldfarm
