// Digests: SHA-256 names artifacts, MD5 checks what a dataset's metadata says.
#ifndef FOLDFARM_COMMON_BASE_DIGEST_H_
#define FOLDFARM_COMMON_BASE_DIGEST_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// A digest over data that comes in pieces. Not thread-safe.
class Hasher {
 public:
  static Hasher Sha256();
  static Hasher Md5();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  void Update(absl::string_view data);

  // Lower-case hex. REQUIRES: called once, nothing after it.
  std::string FinishHex();

 private:
  struct State;
  explicit Hasher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Lower-case hex.
std::string Sha256Hex(absl::string_view data);
std::string Md5Hex(absl::string_view data);

// Reads the file in pieces. Errors: as ReadFile.
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

// 64 lower-case hex digits: safe as a file name.
bool IsSha256Hex(absl::string_view text);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_DIGEST_H_
