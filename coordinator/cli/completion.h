// Completion of command lines: what may stand where the cursor is.
//
// 1. `foldfarm completion bash|zsh` prints a short script for the shell.
// 2. At each TAB the script calls `foldfarm __complete WORD...`, the words up
// to
//    the cursor, and gets a line saying of what kind the answer is and then the
//    candidates.
// 3. Commands, options and choices come from the parser itself; names of
//    sweeps, jobs and datasets from the coordinator, if it answers at once.
// What a value is, is told by its placeholder in --help: SWEEP, JOB, DIR,
// F.csv, "table|json" (lower case: these very words). What ends in ",..." is a
// list with commas.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_COMPLETION_H_
#define FOLDFARM_COORDINATOR_CLI_COMPLETION_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// CLI11's, which takes seconds to compile.
namespace CLI {
class App;
}  // namespace CLI

namespace foldfarm {

// Names that only the coordinator knows.
enum class NameKind { kSweep, kJob, kDataset, kWeights, kWorker };

struct Candidate {
  std::string word;
  std::string description;  // May be empty.
};

struct Completion {
  enum class Paths { kNone, kFiles, kFolders };
  // Those that begin with what stands there already.
  std::vector<Candidate> candidates;
  // Files or folders may stand there, too; the shell knows them.
  Paths paths = Paths::kNone;
  // The word goes on after each of the candidates.
  bool goes_on = false;
};

// Names of a kind; of jobs, those of sweep `of`. Empty when nobody answers.
using NameSource =
    std::function<std::vector<Candidate>(NameKind kind, const std::string& of)>;

// `words` follow the program's name; the last one, which may be empty, is the
// one to complete.
Completion Complete(const CLI::App& app, absl::Span<const std::string> words,
                    const NameSource& names);

// The answer as the scripts read it: "words", "files" or "folders", followed by
// " nospace" when the word goes on; then a line a candidate, word and
// description with a tab between them.
std::string CompletionText(const Completion& completion);

// Asks the coordinator named on the line, else in the environment, else the
// usual one, for at most 400 ms a call.
NameSource CoordinatorNames(absl::Span<const std::string> words,
                            const std::string& fallback);

// The words of a placeholder that lists them, e.g. "table|json" or
// "csv|npy,..."; else none.
std::vector<std::string> Choices(absl::string_view placeholder);

// The script for "bash" or "zsh".
std::string CompletionScript(absl::string_view shell);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_COMPLETION_H_
