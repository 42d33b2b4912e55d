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

int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
  const int code = WriteGathered(file);
  if (code != SQLITE_OK) return code;
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xRead(inner, data, size, offset);
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

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int code = WriteGathered(file);
  if (code != SQLITE_OK) return code;
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xTruncate(inner, size);
}

int Sync(sqlite3_file* file, int flags) {
  const int code = WriteGathered(file);
  if (code != SQLITE_OK) return code;
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xSync(inner, flags);
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const int code = WriteGathered(file);
  if (code != SQLITE_OK) return code;
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xFileSize(inner, size);
}

int Lock(sqlite3_file* file, int level) {
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xLock(inner, level);
}

int Unlock(sqlite3_file* file, int level) {
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xUnlock(inner, level);
}

int CheckReservedLock(sqlite3_file* file, int* held) {
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xCheckReservedLock(inner, held);
}

int FileControl(sqlite3_file* file, int operation, void* argument) {
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xFileControl(inner, operation, argument);
}

int SectorSize(sqlite3_file* file) {
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xSectorSize(inner);
}

int DeviceCharacteristics(sqlite3_file* file) {
  sqlite3_file* const inner = Inner(file);
  return inner->pMethods->xDeviceCharacteristics(inner);
}

const sqlite3_io_methods* LogMethods() {
  static const sqlite3_io_methods methods = [] {
    sqlite3_io_methods m = {};
    m.iVersion = 1;  // Shared memory and mapping are the database file's.
    m.xClose = Close;
    m.xRead = Read;
    m.xWrite = Write;
    m.xTruncate = Truncate;
    m.xSync = Sync;
    m.xFileSize = FileSize;
    m.xLock = Lock;
    m.xUnlock = Unlock;
    m.xCheckReservedLock = CheckReservedLock;
    m.xFileControl = FileControl;
    m.xSectorSize = SectorSize;
    m.xDeviceCharacteristics = DeviceCharacteristics;
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
