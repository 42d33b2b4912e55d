// YAML of any shape -> google.protobuf.Struct, for what is a user's own.
//
// Pure; thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_STRUCT_READER_H_
#define FOLDFARM_COMMON_SWEEP_STRUCT_READER_H_

#include "absl/strings/string_view.h"
#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"
#include "google/protobuf/struct.pb.h"

namespace foldfarm {

// Reads a map. Plain scalars get their types by YAML 1.2's core schema: null,
// true, false, whole numbers (also 0x1f, 0o17), other numbers, else text;
// quoted ones are text. `where` names the map in errors.
//
// Refused: what is not a map, keys that occur twice, and numbers that JSON
// cannot hold: .inf, .nan, whole numbers beyond 2^53. Nothing is an empty map.
void ReadStruct(const YamlNode& node, absl::string_view where,
                google::protobuf::Struct& out, SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_STRUCT_READER_H_
