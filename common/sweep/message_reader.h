// YAML -> Protobuf message, by reflection.
//
// Keys are field names; `rule` options (options.proto) add ranges, units, what
// is required and what is internal. Enum values are written in lower case
// without the type's prefix: OPTIMIZER_ADAMW is adamw.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_MESSAGE_READER_H_
#define FOLDFARM_COMMON_SWEEP_MESSAGE_READER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"
#include "foldfarm/v1/options.pb.h"

namespace foldfarm {

// The annotation of a field; all unset when it has none.
const v1::FieldRule& RuleOf(const google::protobuf::FieldDescriptor& field);

// How a sweep file writes an enum's values, the unspecified one left out.
std::vector<std::string> EnumNames(
    const google::protobuf::EnumDescriptor& type);

// "1 to 100 degrees C", "more than 0, at most 100", "0 or more"; "" when the
// rule sets no bound.
std::string RangeText(const v1::FieldRule& rule);

// Sets the fields of `message` that `node` names; `where` names the message in
// errors: "augment". Nothing in the file sets nothing.
//
// Every mistake goes to `errors`, and what can be read around it is.
void ReadMessage(const YamlNode& node, absl::string_view where,
                 google::protobuf::Message& message, SweepErrors& errors);

// Sets one field from its value.
void ReadField(const YamlNode& node,
               const google::protobuf::FieldDescriptor& field,
               google::protobuf::Message& message, SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_MESSAGE_READER_H_
