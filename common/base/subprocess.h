// Child processes that never outlive their parent.
//
// A child runs in its own process group and gets SIGKILL from the kernel when
// its parent process dies (PR_SET_PDEATHSIG), also after a kill -9. The signal
// goes to the child itself; whoever has grandchildren sets the same on them.
// Not thread-safe; spawn from a thread that lives as long as the child may:
// the kernel takes the death of the spawning *thread* for the parent's.
#ifndef FOLDFARM_COMMON_BASE_SUBPROCESS_H_
#define FOLDFARM_COMMON_BASE_SUBPROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace foldfarm {

struct SubprocessOptions {
  // The program and its arguments; argv[0] is searched in PATH unless it has a
  // slash.
  std::vector<std::string> argv;
  std::string working_directory;  // Empty: the parent's.
  // Added to the parent's environment, or replacing entries of it.
  std::map<std::string, std::string> environment;
  // Child's descriptor -> parent's. Others but 0, 1 and 2 are closed; 0 is
  // /dev/null unless named here.
  std::map<int, int> descriptors;
  // `environment` is all that the child gets.
  bool clear_environment = false;
};

// How a child ended.
struct ExitState {
  int exit_status = 0;  // Valid when signal is 0.
  int signal = 0;
  // Of the child and of all that it waited for: the most memory that one of
  // them held, and the CPU time of all.
  int64_t peak_memory_bytes = 0;
  double cpu_seconds = 0;
};

class Subprocess {
 public:
  // Errors: NOT_FOUND when the program does not exist; others of fork and exec.
  static absl::StatusOr<std::unique_ptr<Subprocess>> Spawn(
      const SubprocessOptions& options);

  // Kills the group and reaps the child.
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  pid_t pid() const { return pid_; }

  // How the child ended, or nothing while it runs. Does not wait.
  std::optional<ExitState> Poll();

  // Waits for the end.
  ExitState Wait();

  // Sends a signal to the child's whole group; nothing once it was reaped.
  void Signal(int signal);

 private:
  explicit Subprocess(pid_t pid) : pid_(pid) {}
  const pid_t pid_;
  std::optional<ExitState> exit_;
};

// The folder of the running program, to find its siblings.
std::string ProgramDirectory();

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_SUBPROCESS_H_
