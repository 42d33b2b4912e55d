#include "common/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

namespace fs = std::filesystem;

absl::Status StatusFromErrno(int error, absl::string_view path,
                             absl::string_view what) {
  const std::string message =
      absl::StrCat(path, ": ", what, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status WriteAll(int fd, absl::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(path, "cannot write");
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// Lets the owner change `path` and all folders below, as far as possible.
void OpenFolders(const fs::path& path) {
  std::error_code ignored;
  if (fs::symlink_status(path, ignored).type() != fs::file_type::directory) {
    return;
  }
  fs::permissions(path, fs::perms::owner_all, fs::perm_options::add, ignored);
  for (fs::directory_iterator it(path, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    OpenFolders(it->path());
  }
}

absl::Status WriteAndRename(const std::string& path, absl::string_view data,
                            bool durable) {
  static std::atomic<uint64_t> counter{0};
  const std::string temporary =
      absl::StrCat(path, ".part.", getpid(), ".", counter.fetch_add(1));
  const int fd =
      open(temporary.c_str(),
           O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(temporary, "cannot create");
  absl::Status status = WriteAll(fd, data, temporary);
  if (status.ok() && durable && fsync(fd) != 0) {
    status = ErrnoStatus(temporary, "cannot fsync");
  }
  if (close(fd) != 0 && status.ok()) {
    status = ErrnoStatus(temporary, "cannot close");
  }
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(path, "cannot rename to");
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return durable ? SyncDirectory(DirectoryOf(path)) : absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(absl::string_view path, absl::string_view what) {
  return StatusFromErrno(errno, path, what);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  std::string data;
  struct stat info;
  if (fstat(fd, &info) == 0 && info.st_size > 0) {
    data.reserve(static_cast<size_t>(info.st_size));
  }
  size_t used = 0;
  while (true) {
    const size_t want = std::max<size_t>(data.capacity() - used, 1 << 16);
    data.resize(used + want);
    const ssize_t n = read(fd, data.data() + used, want);
    if (n < 0) {
      if (errno == EINTR) continue;
      const absl::Status status = ErrnoStatus(path, "cannot read");
      close(fd);
      return status;
    }
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  close(fd);
  data.resize(used);
  return data;
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view data) {
  return WriteAndRename(path, data, /*durable=*/true);
}

absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view data) {
  return WriteAndRename(path, data, /*durable=*/false);
}

absl::Status PublishFile(const std::string& from, const std::string& to) {
  const int fd = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(from, "cannot open");
  const int synced = fsync(fd);
  const absl::Status status =
      synced == 0 ? absl::OkStatus() : ErrnoStatus(from, "cannot fsync");
  close(fd);
  if (!status.ok()) {
    unlink(from.c_str());
    return status;
  }
  struct stat former;
  const bool replaces = lstat(to.c_str(), &former) == 0;
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(to, "cannot rename to");
  }
  const absl::Status flushed = SyncDirectory(DirectoryOf(to));
  if (!flushed.ok() && !replaces) unlink(to.c_str());
  return flushed;
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  const int synced = fsync(fd);
  const absl::Status status =
      synced == 0 ? absl::OkStatus() : ErrnoStatus(path, "cannot fsync");
  close(fd);
  return status;
}

absl::Status MakeDirectories(const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError("the name of a folder is empty");
  }
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    return StatusFromErrno(error.value(), path, "cannot create folder");
  }
  return absl::OkStatus();
}

absl::Status RemoveRecursively(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error == std::errc::permission_denied) {
    // A folder that its owner may not change, e.g. a copy of a read-only one.
    OpenFolders(path);
    error.clear();
    fs::remove_all(path, error);
  }
  if (error) return StatusFromErrno(error.value(), path, "cannot remove");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return StatusFromErrno(error.value(), path, "cannot list");
  std::sort(names.begin(), names.end());
  return names;
}

bool FileExists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<int64_t> FileSize(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(path, "cannot stat");
  return static_cast<int64_t>(info.st_size);
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  if (directory.empty() || (!name.empty() && name[0] == '/')) {
    return std::string(name);
  }
  if (directory.back() == '/') return absl::StrCat(directory, name);
  return absl::StrCat(directory, "/", name);
}

std::string DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  if (slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

std::string BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path
                                                      : path.substr(slash + 1));
}

absl::StatusOr<std::string> MakeTemporaryDirectory(absl::string_view prefix) {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = absl::StrCat(
      base != nullptr && *base != '\0' ? base : "/tmp", "/", prefix, "XXXXXX");
  if (mkdtemp(pattern.data()) == nullptr) {
    return ErrnoStatus(pattern, "cannot create folder");
  }
  return pattern;
}

absl::StatusOr<std::unique_ptr<AppendFile>> AppendFile::Open(
    const std::string& path) {
  // Names of files that grow are no secret: who planted a link there would have
  // us write where it points.
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
           0644);
  if (fd < 0 && errno == ELOOP) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": is a symbolic link, which is not followed; remove it"));
  }
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  const off_t size = lseek(fd, 0, SEEK_END);
  return std::unique_ptr<AppendFile>(new AppendFile(path, fd, size));
}

AppendFile::~AppendFile() { close(fd_); }

absl::Status AppendFile::Append(absl::string_view data) {
  FOLDFARM_RETURN_IF_ERROR(WriteAll(fd_, data, path_));
  size_ += static_cast<int64_t>(data.size());
  return absl::OkStatus();
}

absl::Status AppendFile::Sync() {
  if (fsync(fd_) != 0) return ErrnoStatus(path_, "cannot fsync");
  return absl::OkStatus();
}

absl::Status AppendFile::Truncate(int64_t size) {
  if (ftruncate(fd_, size) != 0) return ErrnoStatus(path_, "cannot truncate");
  size_ = size;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(
    const std::string& path) {
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      const absl::Status status = ErrnoStatus(path, "cannot lock");
      close(fd);
      return status;
    }
    char holder[64] = {0};
    const ssize_t n = read(fd, holder, sizeof(holder) - 1);
    close(fd);
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": locked by another process",
        n > 0 ? absl::StrCat(" (pid ", holder, ")") : std::string()));
  }
  const std::string pid = absl::StrCat(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    // The pid is a courtesy to whoever finds the lock held.
  }
  return std::unique_ptr<FileLock>(new FileLock(fd));
}

FileLock::~FileLock() { close(fd_); }

}  // namespace foldfarm
