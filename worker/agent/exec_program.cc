#include "worker/agent/exec_program.h"

#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"
#include "worker/agent/devices.h"

namespace foldfarm {
namespace {

std::string Environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

absl::Status CheckProgram(const std::string& name, const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "program ", name, " cannot be found on this worker (", path, ": ",
        strerror(errno),
        "); name what the sweep brings under exec.files and call it ./NAME"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("program ", name, " is not a file (", path, ")"));
  }
  if (access(path.c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("program ", name, " is not executable (", path, ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FindInPath(const std::string& name) {
  const std::string path = Environment("PATH", "/usr/bin:/bin");
  for (const absl::string_view directory : absl::StrSplit(path, ':')) {
    if (!absl::StartsWith(directory, "/")) continue;
    std::string candidate = JoinPath(directory, name);
    if (CheckProgram(name, candidate).ok()) return candidate;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("program ", name, " is not in this worker's PATH (", path,
                   "); a program in the attempt's folder is called ./", name));
}

absl::StatusOr<std::string> FindProgram(const std::string& name,
                                        const std::string& folder) {
  if (!absl::StrContains(name, '/')) return FindInPath(name);
  const std::string path = JoinPath(folder, name);
  FOLDFARM_RETURN_IF_ERROR(CheckProgram(name, path));
  return path;
}

std::map<std::string, std::string> MakeEnvironment(const v1::AttemptSpec& spec,
                                                   const std::string& device,
                                                   const std::string& folder) {
  std::map<std::string, std::string> environment = {
      {"PATH", Environment("PATH", "/usr/bin:/bin")},
      {"HOME", Environment("HOME", "/")},
      {"LANG", Environment("LANG", "C.UTF-8")},
      {"CUDA_VISIBLE_DEVICES",
       VisibleGpus(device, std::getenv("CUDA_VISIBLE_DEVICES"))},
      {"FOLDFARM_JOB", spec.job()},
      {"FOLDFARM_FOLD", absl::StrCat(spec.fold())},
      {"FOLDFARM_SEED", absl::StrCat(spec.seed())},
      {"FOLDFARM_ATTEMPT", absl::StrCat(spec.attempt())},
      {"FOLDFARM_DEVICE", DeviceInside(device)},
      {"FOLDFARM_THREADS", absl::StrCat(spec.threads())},
      {"FOLDFARM_FOLDER", folder},
  };
  if (const char* order = std::getenv("CUDA_DEVICE_ORDER"); order != nullptr) {
    environment["CUDA_DEVICE_ORDER"] = order;
  }
  for (const char* name :
       {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    environment[name] = absl::StrCat(spec.threads());
  }
  return environment;
}

}  // namespace

absl::StatusOr<ExecProgram> FindExecProgram(const v1::AttemptSpec& spec,
                                            const std::string& device,
                                            const std::string& folder) {
  const v1::ExecSpec& exec = spec.model().arch().exec();
  if (exec.command().empty() || exec.command(0).empty()) {
    return absl::InvalidArgumentError(
        "exec.command is empty, expected a program and its arguments");
  }
  ExecProgram program;
  program.argv.assign(exec.command().begin(), exec.command().end());
  FOLDFARM_ASSIGN_OR_RETURN(program.path, FindProgram(program.argv[0], folder));
  program.environment = MakeEnvironment(spec, device, folder);
  return program;
}

absl::Status WriteExecConfig(const v1::ExecSpec& exec,
                             const std::string& folder) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto printed = google::protobuf::util::MessageToJsonString(
      exec.config(), &json, options);
  if (!printed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("exec.config: ", printed.ToString()));
  }
  return WriteFileAtomically(JoinPath(folder, "config.json"), json);
}

std::string DescribeExec(const v1::ExecSpec& exec) {
  return absl::StrCat("the program \"",
                      CleanText(absl::StrJoin(exec.command(), " "), 80), "\"");
}

}  // namespace foldfarm
