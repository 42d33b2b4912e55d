// foldfarm-trainer: one attempt, from prepared dataset to results.
//
// The worker starts it in a process of its own, so that whatever Torch does
// ends one attempt and nothing else; a person can start it in the same folder.
#include <signal.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

#include "absl/strings/string_view.h"
#include "worker/trainer/attempt.h"
#include "worker/trainer/describe.h"
#include "worker/trainer/draw.h"

namespace {

volatile sig_atomic_t stop_requested = 0;

void RequestStop(int) { stop_requested = 1; }

constexpr char kUsage[] =
    "Usage: foldfarm-trainer attempt DIR\n"
    "       foldfarm-trainer draw DIR\n"
    "       foldfarm-trainer describe < MODELS.json\n"
    "\n"
    "attempt: runs the attempt in DIR: attempt.json (the job), "
    "dataset.safetensors, "
    "and\n"
    "checkpoint/ to resume from. Writes weights.safetensors, oof.safetensors "
    "and\n"
    "checkpoint-NNNNNN/ there. Events go to file descriptor 3 as JSON lines, "
    "or\n"
    "to standard output when it is not open. SIGTERM: leaves a checkpoint.\n"
    "\n"
    "draw: draws samples as a model gets them: reads draw.json and\n"
    "dataset.safetensors in DIR, writes images.safetensors there.\n"
    "\n"
    "describe: what models cost: reads {\"labels\": 10, \"models\": [...]} "
    "from\n"
    "standard input, writes parameters, multiply-adds and bytes to standard\n"
    "output.\n"
    "\n"
    "Exit: 0 done, 64 bad configuration, 70 failed, 71 out of memory, 75 "
    "stopped.\n"
    "\n"
    "Example: foldfarm-trainer attempt attempts/130_gru-0\n";

// Says what went wrong and returns the exit status that tells it.
int Report(const absl::Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "foldfarm-trainer: %s\n",
                 std::string(status.message()).c_str());
  }
  return foldfarm::ExitStatusOf(status);
}

}  // namespace

int main(int argc, char** argv) {
  const absl::string_view command = argc > 1 ? argv[1] : "";
  if (command == "--version") {
    std::puts("foldfarm-trainer " FOLDFARM_VERSION);
    return foldfarm::kExitDone;
  }
  if (command == "--help" || command == "-h") {
    std::fputs(kUsage, stdout);
    return foldfarm::kExitDone;
  }
  if (argc == 3 && command == "draw") {
    return Report(foldfarm::DrawImages(argv[2]));
  }
  if (argc == 2 && command == "describe") {
    const std::string document(std::istreambuf_iterator<char>(std::cin), {});
    const auto answer = foldfarm::DescribeModels(document);
    if (answer.ok()) std::puts(answer->c_str());
    return Report(answer.status());
  }
  if (argc != 3 || command != "attempt") {
    std::fputs(kUsage, stderr);
    return foldfarm::kExitBadConfiguration;
  }
  foldfarm::EventWriter events(foldfarm::kEventDescriptor);
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);

  return Report(foldfarm::RunAttempt(
      argv[2], events, [] { return stop_requested != 0; },
      foldfarm::Clock::Real()));
}
