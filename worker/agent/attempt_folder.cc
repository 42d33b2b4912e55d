#include "worker/agent/attempt_folder.h"

#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/attempt_files.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/retry.h"
#include "worker/agent/process_usage.h"

namespace foldfarm {
namespace {

// Between two looks at a lock that another daemon holds.
constexpr absl::Duration kScratchInterval = absl::Milliseconds(2);
// So long one waits for it without a word.
constexpr absl::Duration kQuiet = absl::Seconds(1);

// In the names of folders that are to be removed; no daemon's name has it.
constexpr absl::string_view kAsideMark = "~";

// No process of a daemon that died may go on: its attempt is somebody else's.
// The kernel kills trainers with their daemon; this is for what slipped away.
void KillStrays(const std::string& folder) {
  const int killed = KillProcessesIn(folder);
  if (killed > 0) {
    SPDLOG_WARN("killed {} processes in {}, left by a worker that died", killed,
                folder);
  }
}

void RemoveOrWarn(const std::string& path) {
  if (const absl::Status status = RemoveRecursively(path); !status.ok()) {
    SPDLOG_WARN("{}", status.ToString());
  }
}

absl::Status Link(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  if (errno != EEXIST && symlink(from.c_str(), to.c_str()) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(to, absl::StrCat("cannot link to ", from));
}

// Never replaces a file.
absl::Status CopyProgram(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::copy_file(from, to, error);
  if (error) {
    errno = error.value();
    return ErrnoStatus(to, absl::StrCat("cannot copy ", from));
  }
  if (chmod(to.c_str(), 0755) != 0) return ErrnoStatus(to, "cannot chmod");
  return absl::OkStatus();
}

std::string LockOf(const std::string& path) {
  return absl::StrCat(path, ".lock");
}

// Whoever takes or frees a daemon's lock holds this one meanwhile, for no
// longer than that takes. Else a daemon that starts could find its own name's
// lock held by another that removes what is left of it, or a lock file that its
// holder has just unlinked. Errors: FAILED_PRECONDITION when another keeps it
// for longer than `patience`; those of the disk.
absl::StatusOr<std::unique_ptr<FileLock>> LockScratch(
    const std::string& scratch, absl::Duration patience) {
  // The machine's clock will do: nothing about jobs rests on it.
  const absl::Duration begin = Clock::Real().Monotonic();
  bool said = false;
  while (true) {
    auto lock = FileLock::Acquire(LockOf(scratch));
    if (!absl::IsFailedPrecondition(lock.status())) return lock;
    const absl::Duration waited = Clock::Real().Monotonic() - begin;
    if (waited >= patience) {
      return Annotate(
          lock.status(),
          absl::StrCat("waited ", absl::FormatDuration(patience),
                       " for another worker that starts or ends here; is it "
                       "stopped? End it, or choose another --dir"));
    }
    if (waited > kQuiet && !said) {
      SPDLOG_INFO("waiting for another worker that starts or ends in {}",
                  scratch);
      said = true;
    }
    WaitUnlessCancelled(Clock::Real(), kScratchInterval, [] { return false; });
  }
}

// What a dead daemon left, under a name that no daemon has.
struct Leftover {
  std::string path;
  std::unique_ptr<FileLock> lock;
};

// REQUIRES: LockScratch(), and the lock of `path`.
absl::StatusOr<Leftover> SetAside(const std::string& path) {
  std::string aside =
      absl::StrCat(path, kAsideMark, NewRandomId().substr(0, 8));
  FOLDFARM_ASSIGN_OR_RETURN(auto lock, FileLock::Acquire(LockOf(aside)));
  if (rename(path.c_str(), aside.c_str()) != 0) {
    const absl::Status status = ErrnoStatus(path, "cannot rename");
    unlink(LockOf(aside).c_str());
    return status;
  }
  return Leftover{std::move(aside), std::move(lock)};
}

// Sets aside the folders in `scratch` whose daemon is dead, and takes over
// those whose removal was broken off. REQUIRES: LockScratch().
std::vector<Leftover> SetAsideDead(const std::string& scratch) {
  std::vector<Leftover> leftovers;
  const auto names = ListDirectory(scratch);
  if (!names.ok()) return leftovers;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(scratch, name);
    if (!IsDirectory(path)) {
      // Perhaps the lock of one that left no folder.
      const absl::string_view of = absl::StripSuffix(path, ".lock");
      if (of.size() < path.size() && !FileExists(std::string(of)) &&
          FileLock::Acquire(path).ok()) {
        unlink(path.c_str());
      }
      continue;
    }
    // Alive, or being removed by another: not ours to touch.
    auto lock = FileLock::Acquire(LockOf(path));
    if (!lock.ok()) continue;
    if (absl::StrContains(name, kAsideMark)) {
      leftovers.push_back({path, *std::move(lock)});
      continue;
    }
    auto leftover = SetAside(path);
    if (!leftover.ok()) {
      SPDLOG_WARN("{}", leftover.status().ToString());
      continue;
    }
    unlink(LockOf(path).c_str());
    leftovers.push_back(*std::move(leftover));
  }
  return leftovers;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchFolder>> ScratchFolder::Create(
    const std::string& dir, const std::string& name, absl::Duration patience) {
  const std::string scratch = JoinPath(dir, "scratch");
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(scratch));
  const std::string path = JoinPath(scratch, name);
  std::unique_ptr<FileLock> lock;
  std::vector<Leftover> leftovers;
  {
    FOLDFARM_ASSIGN_OR_RETURN(const auto starting,
                              LockScratch(scratch, patience));
    auto acquired = FileLock::Acquire(LockOf(path));
    if (!acquired.ok()) {
      return Annotate(acquired.status(),
                      absl::StrCat("another worker named \"", name,
                                   "\" runs here; choose another --name"));
    }
    lock = *std::move(acquired);
    if (FileExists(path)) {
      FOLDFARM_ASSIGN_OR_RETURN(Leftover own, SetAside(path));
      leftovers.push_back(std::move(own));
    }
    FOLDFARM_RETURN_IF_ERROR(MakeDirectories(path));
    for (Leftover& dead : SetAsideDead(scratch)) {
      leftovers.push_back(std::move(dead));
    }
  }
  // Takes as long as it takes, and nobody waits for it.
  for (const Leftover& leftover : leftovers) {
    SPDLOG_INFO("removing {}, left by a worker that died", leftover.path);
    KillStrays(leftover.path);
    RemoveOrWarn(leftover.path);
    unlink(LockOf(leftover.path).c_str());
  }
  return std::unique_ptr<ScratchFolder>(
      new ScratchFolder(path, std::move(lock)));
}

ScratchFolder::~ScratchFolder() {
  RemoveOrWarn(path_);
  // Without it the lock's file stays, until another worker starts.
  const auto leaving = LockScratch(DirectoryOf(path_), kQuiet);
  if (leaving.ok()) unlink(LockOf(path_).c_str());
  lock_.reset();  // While nobody else takes or frees one.
}

absl::StatusOr<std::unique_ptr<AttemptFolder>> AttemptFolder::Create(
    const std::string& scratch, int64_t token, const v1::AttemptSpec& spec,
    const std::string& dataset) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.add_whitespace = true;
  std::string json;
  const auto printed =
      google::protobuf::util::MessageToJsonString(spec, &json, options);
  if (!printed.ok()) {
    return absl::InternalError(
        absl::StrCat("attempt.json: ", printed.ToString()));
  }
  const std::string path =
      JoinPath(scratch, absl::StrCat(token, "-", NewRandomId().substr(0, 8)));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(path));
  // From here on the folder is removed if something fails.
  auto folder = std::unique_ptr<AttemptFolder>(new AttemptFolder(path));
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileAtomically(JoinPath(path, "attempt.json"), json));
  FOLDFARM_RETURN_IF_ERROR(
      Link(dataset, JoinPath(path, "dataset.safetensors")));
  return folder;
}

absl::Status AttemptFolder::AddInput(const std::string& name,
                                     const std::string& from, Input kind) {
  if (kind == Input::kResult) {
    FOLDFARM_RETURN_IF_ERROR(CheckResultFileName(name));
  } else if (kind == Input::kUsers || name != kInitWeightsFile) {
    FOLDFARM_RETURN_IF_ERROR(CheckUserFileName(name));
  }
  const std::string to = JoinPath(path_, name);
  return kind == Input::kUsers ? CopyProgram(from, to) : Link(from, to);
}

AttemptFolder::~AttemptFolder() { RemoveOrWarn(path_); }

}  // namespace foldfarm
