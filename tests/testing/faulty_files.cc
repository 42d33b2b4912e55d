#include "tests/testing/faulty_files.h"

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

namespace {

struct Fault {
  std::string kind;
  std::string path;
  long at = 0;
  // Calls so far.
  long calls = 0;
  // The last write, for "tear".
  int fd = -1;
  off_t offset = 0;
  size_t size = 0;
};

std::mutex& Lock() {
  static auto* lock = new std::mutex;
  return *lock;
}

std::vector<Fault> Parse(const std::string& text) {
  std::vector<Fault> faults;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string one = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t first = one.find(':'), last = one.rfind(':');
    if (first == std::string::npos || first == last) {
      std::fprintf(stderr, "fault is \"%s\", expected KIND:PATH:N\n",
                   one.c_str());
      std::abort();
    }
    Fault fault;
    fault.kind = one.substr(0, first);
    fault.path = one.substr(first + 1, last - first - 1);
    fault.at = std::atol(one.c_str() + last + 1);
    faults.push_back(fault);
  }
  return faults;
}

std::vector<Fault>& Faults() {
  static auto* faults = [] {
    const char* text = std::getenv("FOLDFARM_FAULTS");
    return new std::vector<Fault>(Parse(text != nullptr ? text : ""));
  }();
  return *faults;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

ssize_t RealPwrite(int fd, const void* data, size_t size, off_t offset) {
  static const auto real =
      Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite64");
  return real(fd, data, size, offset);
}

std::string PathOf(int fd) {
  char link[64], path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof(path));
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

bool Matches(const std::string& path, const std::string& pattern) {
  if (pattern.empty() || pattern.back() != '$') {
    return path.find(pattern) != std::string::npos;
  }
  const size_t size = pattern.size() - 1;
  return path.size() >= size &&
         path.compare(path.size() - size, size, pattern, 0, size) == 0;
}

// Half of the last write is as it never was, and so is the process.
[[noreturn]] void CutPower(const Fault& fault) {
  const std::string other(fault.size - fault.size / 2, '\x5a');
  RealPwrite(fault.fd, other.data(), other.size(),
             fault.offset + static_cast<off_t>(fault.size / 2));
  kill(getpid(), SIGKILL);
  while (true) pause();
}

// True when the flush is to fail.
bool FlushFails(int fd) {
  const std::lock_guard<std::mutex> lock(Lock());
  if (Faults().empty()) return false;
  const std::string path = PathOf(fd);
  for (Fault& fault : Faults()) {
    const bool tear = fault.kind == "tear";
    if ((!tear && fault.kind != "fsync") || !Matches(path, fault.path) ||
        ++fault.calls != fault.at) {
      continue;
    }
    if (tear && fault.fd >= 0) CutPower(fault);
    errno = EIO;
    return true;
  }
  return false;
}

// How many of the bytes may be written; -1: none, with errno.
ssize_t MayWrite(int fd, size_t size, off_t offset) {
  const std::lock_guard<std::mutex> lock(Lock());
  if (Faults().empty()) return static_cast<ssize_t>(size);
  const std::string path = PathOf(fd);
  for (Fault& fault : Faults()) {
    if (!Matches(path, fault.path)) continue;
    if (fault.kind == "tear") {
      fault.fd = fd;
      fault.offset = offset;
      fault.size = size;
    } else if (fault.kind == "full" && ++fault.calls >= fault.at) {
      errno = ENOSPC;
      return -1;
    } else if (fault.kind == "short" && ++fault.calls % fault.at == 0 &&
               size > 1) {
      return static_cast<ssize_t>(size / 2);
    }
  }
  return static_cast<ssize_t>(size);
}

}  // namespace

extern "C" {

void foldfarm_set_faults(const char* faults) {
  std::vector<Fault> parsed = Parse(faults);
  const std::lock_guard<std::mutex> lock(Lock());
  Faults() = std::move(parsed);
}

int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  return FlushFails(fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  return FlushFails(fd) ? -1 : real(fd);
}

ssize_t write(int fd, const void* data, size_t size) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t)>("write");
  const ssize_t may = MayWrite(fd, size, 0);
  return may < 0 ? -1 : real(fd, data, static_cast<size_t>(may));
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const ssize_t may = MayWrite(fd, size, offset);
  return may < 0 ? -1 : RealPwrite(fd, data, static_cast<size_t>(may), offset);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return pwrite(fd, data, size, offset);
}

}  // extern "C"
