// One YAML value -> one field of a Protobuf message.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_SCALAR_READER_H_
#define FOLDFARM_COMMON_SWEEP_SCALAR_READER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"

namespace foldfarm {

// What a value is read into: the field, how messages call it and its rule. Of a
// map's entry the latter two are those of the entry's key and of the map.
struct Target {
  Target(const google::protobuf::FieldDescriptor& field)  // NOLINT: implicit
      : field(field), name(field.name()), rule(RuleOf(field)) {}
  Target(const google::protobuf::FieldDescriptor& field, std::string name,
         const v1::FieldRule& rule)
      : field(field), name(std::move(name)), rule(rule) {}

  const google::protobuf::FieldDescriptor& field;
  const std::string name;
  const v1::FieldRule& rule;
};

// Says that `node` is not what was expected.
void Expected(const YamlNode& node, const Target& target,
              absl::string_view expected, SweepErrors& errors);

// Sets a singular field that is no message, or adds to a repeated one. Mistakes
// go to `errors` and leave the field alone.
void ReadScalar(const YamlNode& node, const Target& target,
                google::protobuf::Message& message, SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_SCALAR_READER_H_
