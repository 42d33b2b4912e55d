#include "coordinator/store/log_files.h"

#include <sqlite3.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <string>

namespace foldfarm {
namespace {

constexpr char kName[] = "foldfarm";

// Where gathering ends within a large transaction. The system's VFS takes sizes
// modulo 128 KiB.
constexpr size_t kMostBytes = size_t{64} << 10;

// The system's own file lies right behind, where SQLite left room for both.
struct LogFile {
  sqlite3_file base;
  std::string gathered;
  sqlite3_int64 offset;  // Of `gathered` in the file.
};

constexpr size_t kAlignment = alignof(std::max_align_t);
constexpr size_t kOwnSize =
    (sizeof(LogFile) + kAlignment - 1) / kAlignment * kAlignment;

LogFile& Self(sqlite3_file* file) { return *reinterpret_cast<LogFile*>(file); }

sqlite3_file* Inner(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) +
                                         kOwnSize);
}

int WriteGathered(sqlite3_file* file) {
  LogFile& log = Self(file);
  if (log.gathered.empty()) return SQLITE_OK;
  sqlite3_file* const inner = Inner(file);
  const int code = inner->pMethods->xWrite(
      inner, log.gathered.data(), static_cast<int>(log.gathered.size()),
      log.offset);
  // What could not be written is undone by who asked for it, not tried again.
  log.gathered.clear();
  return code;
}

int Close(sqlite3_file* file) {
  const int written = WriteGathered(file);
  sqlite3_file* const inner = Inner(file);
  const int closed = inner->pMethods->xClose(inner);
  Self(file).~LogFile();
  return written != SQLITE_OK ? written : closed;
}

int Write(sqlite3_file* file, const void* data, int size,
          sqlite3_int64 offset) {
  LogFile& log = Self(file);
  const auto bytes = static_cast<size_t>(size);
  const bool follows =
      offset == log.offset + static_cast<sqlite3_int64>(log.gathered.size());
  if (!log.gathered.empty() &&
      (!follows || log.gathered.size() + bytes > kMostBytes)) {
    const int code = WriteGathered(file);
    if (code != SQLITE_OK) return code;
  }
  if (log.gathered.empty()) log.offset = offset;
  try {
    log.gathered.append(static_cast<const char*>(data), bytes);
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  }
  return SQLITE_OK;
}

// Calls the system's method of that name.
template <auto kMethod, typename... Args>
int Forward(sqlite3_file* file, Args... args) {
  sqlite3_file* const inner = Inner(file);
  return (inner->pMethods->*kMethod)(inner, args...);
}

// The same, after what was gathered is written.
template <auto kMethod, typename... Args>
int WriteAndForward(sqlite3_file* file, Args... args) {
  const int code = WriteGathered(file);
  return code == SQLITE_OK ? Forward<kMethod, Args...>(file, args...) : code;
}

const sqlite3_io_methods* LogMethods() {
  static const sqlite3_io_methods methods = [] {
    sqlite3_io_methods m = {};
    m.iVersion = 1;  // Shared memory and mapping are the database file's.
    using M = sqlite3_io_methods;
    m.xClose = Close;
    m.xRead = WriteAndForward<&M::xRead, void*, int, sqlite3_int64>;
    m.xWrite = Write;
    m.xTruncate = WriteAndForward<&M::xTruncate, sqlite3_int64>;
    m.xSync = WriteAndForward<&M::xSync, int>;
    m.xFileSize = WriteAndForward<&M::xFileSize, sqlite3_int64*>;
    m.xLock = Forward<&M::xLock, int>;
    m.xUnlock = Forward<&M::xUnlock, int>;
    m.xCheckReservedLock = Forward<&M::xCheckReservedLock, int*>;
    m.xFileControl = Forward<&M::xFileControl, int, void*>;
    m.xSectorSize = Forward<&M::xSectorSize>;
    m.xDeviceCharacteristics = Forward<&M::xDeviceCharacteristics>;
    return m;
  }();
  return &methods;
}

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
         int* out_flags) {
  auto* const system = static_cast<sqlite3_vfs*>(vfs->pAppData);
  if ((flags & SQLITE_OPEN_WAL) == 0) {
    return system->xOpen(system, name, file, flags, out_flags);
  }
  new (file) LogFile{};
  sqlite3_file* const inner = Inner(file);
  std::memset(inner, 0, static_cast<size_t>(system->szOsFile));
  const int code = system->xOpen(system, name, inner, flags, out_flags);
  if (code != SQLITE_OK) {
    if (inner->pMethods != nullptr) inner->pMethods->xClose(inner);
    Self(file).~LogFile();
    file->pMethods = nullptr;  // Then SQLite does not close it.
    return code;
  }
  file->pMethods = LogMethods();
  return SQLITE_OK;
}

}  // namespace

const char* GatheringVfs() {
  static const char* const name = [] {
    sqlite3_vfs* const system = sqlite3_vfs_find(nullptr);
    // SQLite keeps the pointer for as long as the program runs.
    auto* const vfs = new sqlite3_vfs(*system);
    vfs->zName = kName;
    vfs->szOsFile = static_cast<int>(kOwnSize) + system->szOsFile;
    vfs->pAppData = system;
    vfs->pNext = nullptr;
    vfs->xOpen = Open;
    return sqlite3_vfs_register(vfs, /*makeDflt=*/0) == SQLITE_OK
               ? kName
               : system->zName;
  }();
  return name;
}

}  // namespace foldfarm
