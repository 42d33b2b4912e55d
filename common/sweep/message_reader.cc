#include "common/sweep/message_reader.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/sweep/scalar_reader.h"
#include "common/sweep/struct_reader.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// map<string, string> and map<string, double>.
void ReadMap(const YamlNode& node, const FieldDescriptor& field,
             Message& message, SweepErrors& errors) {
  if (node.kind != YamlNode::Kind::kMap) {
    return Expected(node, field, "a map", errors);
  }
  const FieldDescriptor& key = *field.message_type()->FindFieldByName("key");
  const FieldDescriptor& value =
      *field.message_type()->FindFieldByName("value");
  std::set<absl::string_view> seen;
  for (const YamlEntry& entry : node.entries) {
    if (!seen.insert(entry.key).second) {
      errors.Add(entry.key_position,
                 absl::StrCat("duplicate key ", Quoted(entry.key), " in ",
                              field.name()));
      continue;
    }
    Message& item = *message.GetReflection()->AddMessage(&message, &field);
    item.GetReflection()->SetString(&item, &key, entry.key);
    ReadScalar(*entry.value,
               Target(value, absl::StrCat(field.name(), " of ", entry.key),
                      RuleOf(field)),
               item, errors);
  }
}

// How errors call the item of a list of messages: "model 'a'" or "models[2]".
std::string ItemName(const FieldDescriptor& field, const YamlNode& item,
                     size_t index) {
  const YamlNode* name = item.Find("name");
  if (name != nullptr && name->kind == YamlNode::Kind::kScalar) {
    absl::string_view singular = field.name();
    absl::ConsumeSuffix(&singular, "s");
    return absl::StrCat(singular, " '", name->text, "'");
  }
  return absl::StrCat(field.name(), "[", index, "]");
}

void ReadAt(const YamlNode& node, absl::string_view where,
            absl::string_view path, Message& message, SweepErrors& errors);

// `path`: the field, from its model or the sweep on.
void ReadRepeated(const YamlNode& node, const FieldDescriptor& field,
                  const std::string& path, Message& message,
                  SweepErrors& errors) {
  if (node.kind != YamlNode::Kind::kSequence) {
    return Expected(node, field, "a list", errors);
  }
  if (node.items.empty()) {
    errors.Add(node.position, absl::StrCat(field.name(),
                                           " is empty, expected "
                                           "at least one entry"));
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = *node.items[i];
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      ReadScalar(item, field, message, errors);
      continue;
    }
    const std::string name = ItemName(field, item, i);
    // What is in a model is named from the model on.
    const bool named = !absl::EndsWith(name, "]");
    ReadAt(item, named ? name : absl::StrCat(path, "[", i, "]"),
           named ? "" : absl::StrCat(path, "[", i, "]"),
           *message.GetReflection()->AddMessage(&message, &field), errors);
  }
}

std::vector<std::string> KnownKeys(const Descriptor& type) {
  std::vector<std::string> keys;
  for (int i = 0; i < type.field_count(); ++i) {
    if (!RuleOf(*type.field(i)).internal()) {
      keys.push_back(type.field(i)->name());
    }
  }
  return keys;
}

// "vit1d and vit": the alternatives to `type` in a oneof that have the key.
std::string SiblingsWith(const std::string& key, const Descriptor& type) {
  const Descriptor& arch = *v1::ArchSpec::descriptor();
  std::vector<std::string> found;
  bool is_kind = false;
  for (int i = 0; i < arch.field_count(); ++i) {
    const Descriptor& kind = *arch.field(i)->message_type();
    is_kind = is_kind || &kind == &type;
    const FieldDescriptor* field = kind.FindFieldByName(key);
    if (field != nullptr && !RuleOf(*field).internal()) {
      found.push_back(arch.field(i)->name());
    }
  }
  return is_kind ? absl::StrJoin(found, " and ") : "";
}

void ReportUnknownKey(const YamlEntry& entry, absl::string_view where,
                      const Descriptor& type, SweepErrors& errors) {
  const std::vector<std::string> known = KnownKeys(type);
  std::string hint = DidYouMean(entry.key, known);
  const std::string elsewhere = SiblingsWith(entry.key, type);
  if (hint.empty() && !elsewhere.empty()) {
    hint = absl::StrCat(", it is an option of ", elsewhere);
  } else if (hint.empty()) {
    hint = known.empty()
               ? ", which has no options"
               : absl::StrCat("; known are ", absl::StrJoin(known, ", "));
  }
  std::string key = Quoted(entry.key);
  key = key.substr(1, key.size() - 2);
  errors.Add(entry.key_position,
             absl::StrCat("unknown key '", key, "' in ", where, hint));
}

void ReadFieldAt(const YamlNode& node, const FieldDescriptor& field,
                 const std::string& path, Message& message,
                 SweepErrors& errors) {
  if (field.is_map()) return ReadMap(node, field, message, errors);
  if (field.is_repeated()) {
    return ReadRepeated(node, field, path, message, errors);
  }
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
    return ReadScalar(node, field, message, errors);
  }
  Message& below = *message.GetReflection()->MutableMessage(&message, &field);
  if (field.message_type() == google::protobuf::Struct::descriptor()) {
    return ReadStruct(node, path, static_cast<google::protobuf::Struct&>(below),
                      errors);
  }
  ReadAt(node, path, path, below, errors);
}

void ReadAt(const YamlNode& node, absl::string_view where,
            absl::string_view path, Message& message, SweepErrors& errors) {
  if (node.kind == YamlNode::Kind::kNull) return;
  const Descriptor& type = *message.GetDescriptor();
  if (node.kind != YamlNode::Kind::kMap) {
    // `arch: rnn` for `arch: {rnn: {}}`.
    const FieldDescriptor* meant = type.FindFieldByName(node.text);
    errors.Add(node.position,
               absl::StrCat(where, ": expected a map of options, got ",
                            node.Describe(),
                            meant != nullptr && meant->message_type() != nullptr
                                ? absl::StrCat("; write {", node.text, ": {}}")
                                : ""));
    return;
  }
  std::map<absl::string_view, FilePosition> seen;
  // Which member of a oneof the file names first.
  std::map<const google::protobuf::OneofDescriptor*, std::string> chosen;
  for (const YamlEntry& entry : node.entries) {
    const auto [first, is_new] = seen.emplace(entry.key, entry.key_position);
    if (!is_new) {
      errors.Add(entry.key_position,
                 absl::StrCat("duplicate key '", entry.key, "' in ", where,
                              ", first on line ", first->second.line));
      continue;
    }
    const FieldDescriptor* field = type.FindFieldByName(entry.key);
    if (field == nullptr || RuleOf(*field).internal()) {
      ReportUnknownKey(entry, where, type, errors);
      continue;
    }
    if (field->real_containing_oneof() != nullptr) {
      const auto [kind, first_kind] =
          chosen.emplace(field->real_containing_oneof(), entry.key);
      if (!first_kind) {
        errors.Add(entry.key_position,
                   absl::StrCat(where, " has both '", kind->second, "' and '",
                                entry.key, "', expected one of them"));
        continue;
      }
    }
    ReadFieldAt(*entry.value, *field,
                absl::StrCat(path, path.empty() ? "" : ".", field->name()),
                message, errors);
  }
  // What a model leaves out below may come from `defaults` or from the model
  // that it is like; check_model.h sees the whole.
  if (!path.empty()) return;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (RuleOf(field).required() && seen.count(field.name()) == 0) {
      errors.Add(node.position,
                 absl::StrCat("missing key '", field.name(), "' in ", where));
    }
  }
}

}  // namespace

void ReadField(const YamlNode& node, const FieldDescriptor& field,
               Message& message, SweepErrors& errors) {
  ReadFieldAt(node, field, field.name(), message, errors);
}

void ReadMessage(const YamlNode& node, absl::string_view where,
                 Message& message, SweepErrors& errors) {
  ReadAt(node, where, "", message, errors);
}

}  // namespace foldfarm
