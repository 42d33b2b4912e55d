#include "worker/agent/attempt_folder.h"

#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/attempt_files.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "worker/agent/process_usage.h"

namespace foldfarm {
namespace {

// Between two looks at a lock that another daemon holds.
constexpr absl::Duration kScratchInterval = absl::Milliseconds(2);

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

// Whoever takes or frees a daemon's lock holds this one meanwhile. Else a
// daemon that starts could find its own name's lock held by another that
// removes what is left of it, or a lock file that its holder has just unlinked.
// FAILED_PRECONDITION when another keeps it for longer than `patience`.
absl::StatusOr<std::unique_ptr<FileLock>> LockScratch(
    const std::string& scratch, absl::Duration patience) {
  // The machine's clock will do: nothing about jobs rests on it.
  const absl::Duration end = Clock::Real().Monotonic() + patience;
  while (true) {
    auto lock = FileLock::Acquire(absl::StrCat(scratch, ".lock"));
    if (!absl::IsFailedPrecondition(lock.status())) return lock;
    if (Clock::Real().Monotonic() >= end) {
      return Annotate(
          lock.status(),
          absl::StrCat("waited ", absl::FormatDuration(patience),
                       " for another worker that starts or ends here"));
    }
    absl::SleepFor(kScratchInterval);
  }
}

// Removes the folders in `scratch` whose daemon is dead.
void RemoveLeftovers(const std::string& scratch) {
  const auto names = ListDirectory(scratch);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(scratch, name);
    if (!IsDirectory(path)) continue;
    // Alive: not ours to touch.
    const auto lock = FileLock::Acquire(absl::StrCat(path, ".lock"));
    if (!lock.ok()) continue;
    SPDLOG_INFO("removing {}, left by a worker that died", path);
    KillStrays(path);
    RemoveOrWarn(path);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchFolder>> ScratchFolder::Create(
    const std::string& dir, const std::string& name, absl::Duration patience) {
  const std::string scratch = JoinPath(dir, "scratch");
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(scratch));
  FOLDFARM_ASSIGN_OR_RETURN(const auto starting,
                            LockScratch(scratch, patience));
  const std::string path = JoinPath(scratch, name);
  auto lock = FileLock::Acquire(absl::StrCat(path, ".lock"));
  if (!lock.ok()) {
    return Annotate(lock.status(), absl::StrCat("another worker named \"", name,
                                                "\" runs here; choose another "
                                                "--name"));
  }
  KillStrays(path);
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(path));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(path));
  RemoveLeftovers(scratch);
  return std::unique_ptr<ScratchFolder>(
      new ScratchFolder(path, *std::move(lock)));
}

ScratchFolder::~ScratchFolder() {
  RemoveOrWarn(path_);
  // Without it the file stays, which is harmless.
  const auto leaving = LockScratch(DirectoryOf(path_), kScratchPatience);
  if (leaving.ok()) unlink(absl::StrCat(path_, ".lock").c_str());
  lock_.reset();
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
