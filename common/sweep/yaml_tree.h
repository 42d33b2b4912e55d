// YAML as a plain tree whose every node knows its line and column.
//
// The reader is guarded: text size, nesting and number of nodes (aliases count
// as what they stand for) are limited, so that no file costs more than a
// moment.
//
// Trees are immutable; thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_YAML_TREE_H_
#define FOLDFARM_COMMON_SWEEP_YAML_TREE_H_

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/sweep/sweep_errors.h"

namespace foldfarm {

inline constexpr size_t kMaxYamlBytes = 4 << 20;
inline constexpr size_t kMaxYamlDepth = 20;
inline constexpr size_t kMaxYamlNodes = 200'000;

struct YamlNode;
using YamlNodePtr = std::shared_ptr<const YamlNode>;

// Keys, from the outermost in: {"train", "schedule", "kind"}.
using YamlPath = std::initializer_list<absl::string_view>;

struct YamlEntry {
  std::string key;
  FilePosition key_position;
  YamlNodePtr value;
};

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  FilePosition position;
  // Of a scalar.
  std::string text;
  bool quoted = false;
  // Of a sequence.
  std::vector<YamlNodePtr> items;
  // Of a map, in the file's order; a key may occur twice.
  std::vector<YamlEntry> entries;
  // Nodes and levels of this tree, itself included.
  size_t nodes = 1;
  size_t depth = 1;

  // The value of the first entry with this key, or null.
  const YamlNode* Find(absl::string_view key) const;
  // The value at the end of a path of keys, or null.
  const YamlNode* FindPath(YamlPath path) const;
  // What it is, for messages: `"abc"`, "nothing", "a list", "a map".
  std::string Describe() const;
};

// Reads one document; never null.
//
// Errors: INVALID_ARGUMENT "FILE:LINE:COLUMN: ..." when the text is not YAML,
// not UTF-8, holds another document, or passes a limit.
absl::StatusOr<YamlNodePtr> ReadYaml(absl::string_view text,
                                     absl::string_view file_name);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_YAML_TREE_H_
