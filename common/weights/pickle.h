// Python's pickle format read as data: what a pickle describes, never what it
// would do.
//
// A pickle is a program for a small stack machine. Python's own reader calls
// whatever function the program names; this one calls nothing. It keeps a
// tree of what was said ("a call of G with these arguments") and leaves it to
// the reader of the tree to know the few names that mean something to it. A
// name that the caller does not know ends the reading, before anything is made
// of it.
//
// Source: Python's pickletools; opcodes of protocols 2 to 5 that dictionaries
// of tensors need. Thread-safe: functions on values.
#ifndef FOLDFARM_COMMON_WEIGHTS_PICKLE_H_
#define FOLDFARM_COMMON_WEIGHTS_PICKLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

struct PickleNode {
  enum class Kind {
    kNone,
    kBool,        // integer
    kInteger,     // integer
    kLong,        // text: little-endian two's complement, over 8 bytes
    kReal,        // real
    kText,        // text: str or bytes
    kTuple,       // children
    kList,        // children
    kDict,        // children: key, value, key, value, ...
    kGlobal,      // text: "module.name"
    kCall,        // children: the global, the tuple of its arguments, then keys
                  // and values that were set on the result
    kPersistent,  // children: the one id; it stands for something outside
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  // Places in PickleTree::nodes. May lead in circles: a list can hold itself.
  std::vector<uint32_t> children;
};

struct PickleTree {
  std::vector<PickleNode> nodes;
  uint32_t root = 0;
  size_t size_bytes = 0;  // Of the pickle, STOP included.

  const PickleNode& at(uint32_t place) const { return nodes[place]; }
};

// Reads the pickle that `bytes` begin with; more may follow it. Globals that
// `allowed` refuses (given as "module.name") are an error. `name` stands in
// messages.
// Errors: INVALID_ARGUMENT naming the byte and the opcode or global: cut short,
// refused, malformed, or more than a million values.
absl::StatusOr<PickleTree> ParsePickle(
    absl::string_view bytes,
    absl::FunctionRef<bool(absl::string_view global)> allowed,
    const std::string& name);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_WEIGHTS_PICKLE_H_
