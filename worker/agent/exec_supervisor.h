// Stands between the daemon and a user's program, so that nothing the program
// starts outlives its attempt.
//
// 1. The daemon starts itself again as a supervisor: a small process of its
//    own, without threads, holding the end of a pipe, the leash (descriptor 4).
// 2. The supervisor starts the program in a process group of its own and adopts
//    whatever of its descendants loses its parent (PR_SET_CHILD_SUBREAPER), so
//    that also one that left the group is found.
// 3. SIGTERM is passed on to the program's group. When the leash ends, because
//    the daemon let go or died of whatever, everything is killed.
// 4. When the program has ended (after a SIGTERM: its group), what it left
//    running is killed, and the supervisor ends as the program did: with its
//    exit status or of its signal.
//
// A program that cannot be started at all is reported in the attempt contract's
// own words: a `failed` event and exit status 64.
#ifndef FOLDFARM_WORKER_AGENT_EXEC_SUPERVISOR_H_
#define FOLDFARM_WORKER_AGENT_EXEC_SUPERVISOR_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace foldfarm {

// First argument of foldfarm-worker that makes it a supervisor.
inline constexpr char kSuperviseFlag[] = "--supervise-program";
// The supervisor's descriptor that ends when everything is to be killed.
inline constexpr int kLeashDescriptor = 4;

// Arguments of `supervisor` for a program at `path` called as `argv`; `folder`
// only tells people whose it is.
std::vector<std::string> SupervisorCommand(
    const std::string& supervisor, const std::string& folder,
    const std::string& path, const std::vector<std::string>& argv);

// main of the supervisor, with SupervisorCommand's arguments. Returns the
// program's exit status, or does not return.
int SuperviseProgram(int argc, char** argv);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_EXEC_SUPERVISOR_H_
