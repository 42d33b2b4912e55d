// Collects the mistakes of a file, so that a person sees all of them at once.
//
// Not thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_SWEEP_ERRORS_H_
#define FOLDFARM_COMMON_SWEEP_SWEEP_ERRORS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// A place in a file, both 1-based.
struct FilePosition {
  int line = 0;
  int column = 0;
};

class SweepErrors {
 public:
  // `file_name` stands before each position.
  explicit SweepErrors(absl::string_view file_name) : file_name_(file_name) {}

  void Add(FilePosition position, std::string message);
  // A message that names its own place.
  void AddElsewhere(std::string message);

  size_t size() const { return errors_.size() + elsewhere_.size(); }
  bool empty() const { return size() == 0; }

  // What was added, without places.
  std::vector<std::string> Messages() const;

  // OK, or INVALID_ARGUMENT with a line a mistake, by position; at most 50.
  // The same mistake at the same place is said once.
  absl::Status ToStatus() const;

 private:
  struct Error {
    FilePosition position;
    std::string message;
  };
  const std::string file_name_;
  std::vector<Error> errors_;
  std::vector<std::string> elsewhere_;
};

// ` (did you mean 'mix_prob'?)` when one of `known` is close to `word`, else
// "".
std::string DidYouMean(absl::string_view word,
                       const std::vector<std::string>& known);

// Quotes a value for a message: escaped, cut to 60 characters.
std::string Quoted(absl::string_view text);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_SWEEP_ERRORS_H_
