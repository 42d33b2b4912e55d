#include "common/base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace foldfarm {
namespace {

// For the whole program: EVP_sha256() makes OpenSSL look for the code at each
// use, which takes longer than a short digest.
const EVP_MD* Fetch(const char* name) {
  const EVP_MD* const kind = EVP_MD_fetch(nullptr, name, nullptr);
  if (kind != nullptr) return kind;
  std::fprintf(stderr, "OpenSSL offers no %s; is it set up for FIPS alone?\n",
               name);
  std::abort();
}

}  // namespace

struct Hasher::State {
  explicit State(const EVP_MD* kind) : context(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(context, kind, nullptr);
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  EVP_MD_CTX* context;
};

Hasher::Hasher(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

Hasher Hasher::Sha256() {
  static const EVP_MD* const kind = Fetch("SHA256");
  return Hasher(std::make_unique<State>(kind));
}
Hasher Hasher::Md5() {
  static const EVP_MD* const kind = Fetch("MD5");
  return Hasher(std::make_unique<State>(kind));
}

void Hasher::Update(absl::string_view data) {
  EVP_DigestUpdate(state_->context, data.data(), data.size());
}

std::string Hasher::FinishHex() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(state_->context, bytes, &size);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes), size));
}

std::string Sha256Hex(absl::string_view data) {
  Hasher hasher = Hasher::Sha256();
  hasher.Update(data);
  return hasher.FinishHex();
}

std::string Md5Hex(absl::string_view data) {
  Hasher hasher = Hasher::Md5();
  hasher.Update(data);
  return hasher.FinishHex();
}

absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return ErrnoStatus(path, "cannot open");
  Hasher hasher = Hasher::Sha256();
  std::vector<char> buffer(1 << 20);
  size_t got;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), file)) > 0) {
    hasher.Update(absl::string_view(buffer.data(), got));
  }
  const bool failed = std::ferror(file) != 0;
  const absl::Status error =
      failed ? ErrnoStatus(path, "cannot read") : absl::OkStatus();
  std::fclose(file);
  if (failed) return error;
  return hasher.FinishHex();
}

bool IsSha256Hex(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace foldfarm
