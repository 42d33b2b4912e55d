// Layers of options: merging one message over another, and the rules' defaults.
#ifndef FOLDFARM_COMMON_SWEEP_MERGE_H_
#define FOLDFARM_COMMON_SWEEP_MERGE_H_

#include <google/protobuf/message.h>

#include <map>

#include "common/sweep/yaml_tree.h"

namespace foldfarm {

// Writes every field that `from` sets over `to`'s. Messages are merged field by
// field; lists and maps are replaced; another member of a oneof replaces the
// former member with all it held. REQUIRES: both are of one type.
void MergeOver(const google::protobuf::Message& from,
               google::protobuf::Message& to);

// Changes `to` as `after` differs from `before`: fields that are the same in
// both stay as `to` has them. Messages, and lists of as many messages, are
// compared field by field; what else differs is replaced, or cleared where
// `after` lacks it. REQUIRES: all are of one type.
void MergeChanges(const google::protobuf::Message& before,
                  const google::protobuf::Message& after,
                  google::protobuf::Message& to);

// Gives fields their rules' defaults. Keeps the parsed defaults; not
// thread-safe.
class DefaultFiller {
 public:
  // Sets every field of `message` that has a default and no value, and does so
  // in all messages below. Singular messages are created, but no member of a
  // oneof.
  void Fill(google::protobuf::Message& message);

 private:
  std::map<const google::protobuf::FieldDescriptor*, YamlNodePtr> parsed_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_MERGE_H_
