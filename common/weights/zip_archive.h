// ZIP archives whose members are not compressed, as torch.save writes them.
//
// Not thread-safe.
#ifndef FOLDFARM_COMMON_WEIGHTS_ZIP_ARCHIVE_H_
#define FOLDFARM_COMMON_WEIGHTS_ZIP_ARCHIVE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace foldfarm {

class ZipArchive {
 public:
  // Errors: NOT_FOUND; INVALID_ARGUMENT when it is no whole ZIP archive, has
  // two members of one name, compressed or encrypted ones, or members that
  // claim more bytes than the file has.
  static absl::StatusOr<std::unique_ptr<ZipArchive>> Open(
      const std::string& path);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  // Bytes of each member.
  const std::map<std::string, int64_t>& sizes() const { return sizes_; }

  // A member's bytes, checked against its CRC-32. REQUIRES: it is in sizes().
  // Errors: INVALID_ARGUMENT when they are damaged.
  absl::StatusOr<std::string> Read(const std::string& member) const;

 private:
  struct Handle;
  ZipArchive(std::string path, std::unique_ptr<Handle> handle);
  const std::string path_;
  const std::unique_ptr<Handle> handle_;
  std::map<std::string, int64_t> sizes_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_WEIGHTS_ZIP_ARCHIVE_H_
