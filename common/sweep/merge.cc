#include "common/sweep/merge.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>

#include <memory>
#include <vector>

#include "common/sweep/message_reader.h"

namespace foldfarm {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsSingularMessage(const FieldDescriptor& field) {
  return !field.is_repeated() &&
         field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// `field` of `message`, and nothing else.
std::unique_ptr<Message> Only(const Message& message,
                              const FieldDescriptor& field) {
  std::unique_ptr<Message> all(message.New());
  all->CopyFrom(message);
  std::unique_ptr<Message> one(message.New());
  message.GetReflection()->SwapFields(one.get(), all.get(), {&field});
  return one;
}

}  // namespace

void MergeChanges(const Message& before, const Message& after, Message& to) {
  const Reflection& r = *to.GetReflection();
  const google::protobuf::Descriptor& type = *to.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::unique_ptr<Message> wanted = Only(after, field);
    if (google::protobuf::util::MessageDifferencer::Equals(*Only(before, field),
                                                           *wanted)) {
      continue;
    }
    if (IsSingularMessage(field) && r.HasField(before, &field) &&
        r.HasField(after, &field) && r.HasField(to, &field)) {
      MergeChanges(r.GetMessage(before, &field), r.GetMessage(after, &field),
                   *r.MutableMessage(&to, &field));
      continue;
    }
    if (field.is_repeated() && !field.is_map() &&
        field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
        r.FieldSize(before, &field) == r.FieldSize(after, &field) &&
        r.FieldSize(to, &field) == r.FieldSize(after, &field)) {
      for (int k = 0; k < r.FieldSize(to, &field); ++k) {
        MergeChanges(r.GetRepeatedMessage(before, &field, k),
                     r.GetRepeatedMessage(after, &field, k),
                     *r.MutableRepeatedMessage(&to, &field, k));
      }
      continue;
    }
    // Another member of a oneof replaces the former one by being set; the
    // former one, which `after` lacks, is then gone.
    if (field.real_containing_oneof() != nullptr &&
        !r.HasField(after, &field)) {
      if (r.HasField(to, &field)) r.ClearField(&to, &field);
      continue;
    }
    r.SwapFields(&to, wanted.get(), {&field});
  }
}

void MergeOver(const Message& from, Message& to) {
  const Reflection& reflection = *from.GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection.ListFields(from, &set);
  std::vector<const FieldDescriptor*> whole;
  for (const FieldDescriptor* field : set) {
    if (IsSingularMessage(*field)) {
      MergeOver(reflection.GetMessage(from, field),
                *reflection.MutableMessage(&to, field));
    } else {
      whole.push_back(field);
    }
  }
  const std::unique_ptr<Message> copy(from.New());
  copy->CopyFrom(from);
  reflection.SwapFields(&to, copy.get(), whole);
}

void DefaultFiller::Fill(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    // That the farm's own are absent says something.
    if (RuleOf(field).internal()) continue;
    if (IsSingularMessage(field)) {
      if (field.real_containing_oneof() == nullptr ||
          reflection.HasField(message, &field)) {
        Fill(*reflection.MutableMessage(&message, &field));
      }
      continue;
    }
    const bool has = field.is_repeated()
                         ? reflection.FieldSize(message, &field) > 0
                         : reflection.HasField(message, &field);
    if (has || RuleOf(field).default_().empty()) continue;
    YamlNodePtr& value = parsed_[&field];
    if (value == nullptr) {
      // The rules are constants of the program; a test reads all of them.
      value = ReadYaml(RuleOf(field).default_(), field.full_name()).value();
    }
    SweepErrors errors(field.full_name());
    ReadField(*value, field, message, errors);
  }
}

}  // namespace foldfarm
