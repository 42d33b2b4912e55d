// Files whose contents survive a crash: what is written appears whole or not at
// all.
//
// Every durable write of the project goes through here, so that faults can be
// injected in one place. Functions are thread-safe; FileLock is not.
#ifndef FOLDFARM_COMMON_BASE_FILES_H_
#define FOLDFARM_COMMON_BASE_FILES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The status of a failed system call, from errno: "PATH: WHAT: No such file or
// directory". NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk full),
// ALREADY_EXISTS or INTERNAL.
absl::Status ErrnoStatus(absl::string_view path, absl::string_view what);

absl::StatusOr<std::string> ReadFile(const std::string& path);

// Replaces `path` by `data`: temporary file beside it, fsync, rename, fsync of
// the folder. After an error the former file is untouched.
absl::Status WriteFileDurably(const std::string& path, absl::string_view data);

// The same without fsync, for files that can be made again.
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view data);

// Flushes a finished file and makes it appear as `to`: fsync, rename, fsync of
// the folder. A file that a flush failed for is removed, for the kernel reports
// that once: a second flush that succeeds would not say that the bytes are on
// disk. But where `to` was there before, what replaced it stays: without it
// nothing would be left.
absl::Status PublishFile(const std::string& from, const std::string& to);

// fsync of a folder, after names in it changed.
absl::Status SyncDirectory(const std::string& path);

// mkdir -p.
absl::Status MakeDirectories(const std::string& path);

// rm -r; nothing there is no error.
absl::Status RemoveRecursively(const std::string& path);

// Names in a folder, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

bool FileExists(const std::string& path);
bool IsDirectory(const std::string& path);
absl::StatusOr<int64_t> FileSize(const std::string& path);

// "a" / "b" -> "a/b"; an absolute `name` stands alone.
std::string JoinPath(absl::string_view directory, absl::string_view name);
// "a/b/c" -> "a/b"; "c" -> ".".
std::string DirectoryOf(absl::string_view path);
// "a/b/c" -> "c".
std::string BaseName(absl::string_view path);

// A new empty folder under the system's temporary folder.
absl::StatusOr<std::string> MakeTemporaryDirectory(absl::string_view prefix);

// An open file that grows at its end. Closed by the destructor.
class AppendFile {
 public:
  // Creates the file when absent.
  static absl::StatusOr<std::unique_ptr<AppendFile>> Open(
      const std::string& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  absl::Status Append(absl::string_view data);
  absl::Status Sync();
  // Cuts the file to `size` bytes.
  absl::Status Truncate(int64_t size);
  int64_t size() const { return size_; }

 private:
  AppendFile(std::string path, int fd, int64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}
  const std::string path_;
  const int fd_;
  int64_t size_;
};

// Holds `path` locked (flock) until destroyed; the kernel frees it when the
// process dies.
class FileLock {
 public:
  // Errors: FAILED_PRECONDITION when another process holds it, with what that
  // process wrote into the file (its pid).
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(
      const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_FILES_H_
