// foldfarm-trainer: one attempt, from prepared dataset to results; and what
// else needs Torch: drawing, describing, predicting with a bundle, explaining.
//
// The worker starts it in a process of its own, so that whatever Torch does
// ends one attempt and nothing else; a person can start it in the same folder.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "worker/trainer/attempt.h"
#include "worker/trainer/describe.h"
#include "worker/trainer/draw.h"
#include "worker/trainer/explain.h"
#include "worker/trainer/predict_command.h"
#include "worker/training/torch_setup.h"

namespace {

volatile sig_atomic_t stop_requested = 0;

// `predict` when a part of the samples could not be read.
constexpr int kExitSomeFailed = 1;

void RequestStop(int) { stop_requested = 1; }

constexpr char kUsage[] =
    "Usage: foldfarm-trainer attempt DIR\n"
    "       foldfarm-trainer predict BUNDLE SAMPLES... [options]\n"
    "       foldfarm-trainer draw DIR\n"
    "       foldfarm-trainer describe < MODELS.json\n"
    "       foldfarm-trainer explain DIR\n"
    "       foldfarm-trainer devices\n"
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
    "predict: predicts features files with a bundle; see predict --help.\n"
    "\n"
    "draw: draws samples as a model gets them: reads draw.json and\n"
    "dataset.safetensors in DIR, writes images.safetensors there.\n"
    "\n"
    "describe: what models cost: reads {\"labels\": 10, \"models\": [...]} "
    "from\n"
    "standard input, writes parameters, multiply-adds and bytes to standard\n"
    "output.\n"
    "\n"
    "explain: what speaks for a label of a sample: reads explain.json in DIR,\n"
    "writes explain.safetensors there; foldfarm explain makes a picture of "
    "it.\n"
    "\n"
    "devices: where attempts can run: cpu and the GPUs that Torch sees "
    "(cuda:0),\n"
    "one a line.\n"
    "\n"
    "Exit: 0 done, 64 bad configuration, 70 failed, 71 out of memory, 75 "
    "stopped.\n"
    "\n"
    "Example: foldfarm-trainer attempt attempts/130_gru-0\n";

bool IsHelp(absl::string_view word) { return word == "--help" || word == "-h"; }

void PrintDevices() {
  std::puts("cpu");
  const int gpus = foldfarm::CountGpus();
  for (int i = 0; i < gpus; ++i) std::printf("cuda:%d\n", i);
}

// Says what went wrong and returns the exit status that tells it.
int Report(const absl::Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "foldfarm-trainer: %s\n",
                 std::string(status.message()).c_str());
  }
  return foldfarm::ExitStatusOf(status);
}

// What `work` needs to know when to stop: SIGTERM or Ctrl-C.
bool StopRequested() { return stop_requested != 0; }

void CatchStopSignals() {
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

int Predict(const std::vector<std::string>& arguments) {
  if (std::find(arguments.begin(), arguments.end(), "--help") !=
      arguments.end()) {
    std::fputs(foldfarm::kPredictUsage, stdout);
    return foldfarm::kExitDone;
  }
  const auto options = foldfarm::ParsePredictOptions(arguments);
  if (!options.ok()) return Report(options.status());
  CatchStopSignals();
  const auto failed = foldfarm::RunPredict(*options, &StopRequested);
  if (failed.ok()) return *failed > 0 ? kExitSomeFailed : foldfarm::kExitDone;
  Report(failed.status());
  // A person gave the paths and the bundle: these are wrong as usage is.
  const bool wrong = absl::IsNotFound(failed.status()) ||
                     absl::IsDataLoss(failed.status()) ||
                     absl::IsFailedPrecondition(failed.status());
  return wrong ? foldfarm::kExitBadConfiguration
               : foldfarm::ExitStatusOf(failed.status());
}

}  // namespace

int main(int argc, char** argv) {
  const absl::string_view command = argc > 1 ? argv[1] : "";
  if (command == "--version") {
    std::puts("foldfarm-trainer " FOLDFARM_VERSION);
    return foldfarm::kExitDone;
  }
  // `predict` has a help of its own.
  if (IsHelp(command) ||
      (argc > 2 && command != "predict" && IsHelp(argv[2]))) {
    std::fputs(kUsage, stdout);
    return foldfarm::kExitDone;
  }
  if (argc == 2 && command == "devices") {
    PrintDevices();
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
  if (command == "predict") {
    return Predict(std::vector<std::string>(argv + 2, argv + argc));
  }
  if (argc == 3 && command == "explain") {
    CatchStopSignals();
    return Report(foldfarm::ExplainSample(argv[2], &StopRequested));
  }
  if (argc != 3 || command != "attempt") {
    std::fputs(kUsage, stderr);
    return foldfarm::kExitBadConfiguration;
  }
  foldfarm::EventWriter events(foldfarm::kEventDescriptor);
  CatchStopSignals();
  signal(SIGPIPE, SIG_IGN);

  return Report(foldfarm::RunAttempt(argv[2], events, &StopRequested,
                                     foldfarm::Clock::Real()));
}
