#include "common/sweep/message_reader.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace foldfarm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One mistake about the value of a field.
void Expected(const YamlNode& node, const FieldDescriptor& field,
              absl::string_view expected, SweepErrors& errors) {
  std::string hint;
  if (node.kind == YamlNode::Kind::kScalar && node.quoted) {
    hint = "; drop the quotes";
  }
  errors.Add(node.position, absl::StrCat(field.name(), ": expected ", expected,
                                         ", got ", node.Describe(), hint));
}

bool InRange(double value, const v1::FieldRule& rule) {
  if (rule.has_min() &&
      (rule.exclusive_min() ? value <= rule.min() : value < rule.min())) {
    return false;
  }
  return !rule.has_max() || value <= rule.max();
}

bool CheckRange(const YamlNode& node, const FieldDescriptor& field,
                double value, SweepErrors& errors) {
  const v1::FieldRule& rule = RuleOf(field);
  if (InRange(value, rule)) return true;
  errors.Add(node.position, absl::StrCat(field.name(), " is ", node.text,
                                         ", expected ", RangeText(rule)));
  return false;
}

bool IsPlain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar && !node.quoted;
}

// Sets a singular field or adds to a repeated one.
template <typename Value>
void Store(Message& message, const FieldDescriptor& field,
           void (Reflection::*set)(Message*, const FieldDescriptor*, Value)
               const,
           void (Reflection::*add)(Message*, const FieldDescriptor*, Value)
               const,
           Value value) {
  const Reflection& reflection = *message.GetReflection();
  (reflection.*(field.is_repeated() ? add : set))(&message, &field,
                                                  std::move(value));
}

void ReadDouble(const YamlNode& node, const FieldDescriptor& field,
                Message& message, SweepErrors& errors) {
  double value = 0;
  if (!IsPlain(node) || !absl::SimpleAtod(node.text, &value)) {
    return Expected(node, field, "a number", errors);
  }
  if (!std::isfinite(value)) {
    return Expected(node, field, "a finite number", errors);
  }
  if (!CheckRange(node, field, value, errors)) return;
  Store<double>(message, field, &Reflection::SetDouble, &Reflection::AddDouble,
                value);
}

template <typename Integer>
void ReadInteger(const YamlNode& node, const FieldDescriptor& field,
                 Message& message, SweepErrors& errors) {
  int64_t value = 0;
  if (!IsPlain(node) || !absl::SimpleAtoi(node.text, &value)) {
    return Expected(node, field, "a whole number", errors);
  }
  if (!CheckRange(node, field, static_cast<double>(value), errors)) return;
  if (value < std::numeric_limits<Integer>::min() ||
      value > std::numeric_limits<Integer>::max()) {
    errors.Add(node.position,
               absl::StrCat(field.name(), " is ", node.text, ", expected ",
                            std::numeric_limits<Integer>::min(), " to ",
                            std::numeric_limits<Integer>::max()));
    return;
  }
  if constexpr (std::is_signed_v<Integer>) {
    Store<int32_t>(message, field, &Reflection::SetInt32, &Reflection::AddInt32,
                   static_cast<int32_t>(value));
  } else {
    Store<uint32_t>(message, field, &Reflection::SetUInt32,
                    &Reflection::AddUInt32, static_cast<uint32_t>(value));
  }
}

void ReadBool(const YamlNode& node, const FieldDescriptor& field,
              Message& message, SweepErrors& errors) {
  if (!IsPlain(node) || (node.text != "true" && node.text != "false")) {
    return Expected(node, field, "true or false", errors);
  }
  Store<bool>(message, field, &Reflection::SetBool, &Reflection::AddBool,
              node.text == "true");
}

void ReadString(const YamlNode& node, const FieldDescriptor& field,
                Message& message, SweepErrors& errors) {
  if (node.kind != YamlNode::Kind::kScalar) {
    return Expected(node, field, "a text", errors);
  }
  Store<std::string>(message, field, &Reflection::SetString,
                     &Reflection::AddString, node.text);
}

// "OPTIMIZER_ADAMW" of the type that begins with "OPTIMIZER_UNSPECIFIED" ->
// "adamw".
std::string ShortName(const EnumValueDescriptor& value) {
  constexpr absl::string_view kUnspecified = "UNSPECIFIED";
  const std::string& zero = value.type()->value(0)->name();
  return absl::AsciiStrToLower(
      value.name().substr(zero.size() - kUnspecified.size()));
}

void ReadEnum(const YamlNode& node, const FieldDescriptor& field,
              Message& message, SweepErrors& errors) {
  const EnumDescriptor& type = *field.enum_type();
  const std::vector<std::string> names = EnumNames(type);
  if (node.kind == YamlNode::Kind::kScalar) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] != node.text) continue;
      Store<const EnumValueDescriptor*>(message, field, &Reflection::SetEnum,
                                        &Reflection::AddEnum,
                                        type.value(static_cast<int>(i) + 1));
      return;
    }
  }
  const std::string expected = absl::StrJoin(names, " or ");
  errors.Add(
      node.position,
      absl::StrCat(field.name(), ": expected ", expected, ", got ",
                   node.Describe(),
                   node.kind == YamlNode::Kind::kScalar
                       ? DidYouMean(absl::AsciiStrToLower(node.text), names)
                       : ""));
}

void ReadScalar(const YamlNode& node, const FieldDescriptor& field,
                Message& message, SweepErrors& errors) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ReadDouble(node, field, message, errors);
    case FieldDescriptor::CPPTYPE_INT32:
      return ReadInteger<int32_t>(node, field, message, errors);
    case FieldDescriptor::CPPTYPE_UINT32:
      return ReadInteger<uint32_t>(node, field, message, errors);
    case FieldDescriptor::CPPTYPE_BOOL:
      return ReadBool(node, field, message, errors);
    case FieldDescriptor::CPPTYPE_STRING:
      return ReadString(node, field, message, errors);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(node, field, message, errors);
    default:
      errors.Add(node.position, absl::StrCat(field.name(),
                                             ": no sweep file can "
                                             "say this option's type, ",
                                             field.cpp_type_name()));
  }
}

// map<string, string>.
void ReadStringMap(const YamlNode& node, const FieldDescriptor& field,
                   Message& message, SweepErrors& errors) {
  if (node.kind != YamlNode::Kind::kMap) {
    return Expected(node, field, "a map", errors);
  }
  const FieldDescriptor& key = *field.message_type()->FindFieldByName("key");
  const FieldDescriptor& value =
      *field.message_type()->FindFieldByName("value");
  for (const YamlEntry& entry : node.entries) {
    Message& item = *message.GetReflection()->AddMessage(&message, &field);
    item.GetReflection()->SetString(&item, &key, entry.key);
    ReadScalar(*entry.value, value, item, errors);
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

void ReadRepeated(const YamlNode& node, const FieldDescriptor& field,
                  Message& message, SweepErrors& errors) {
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
    ReadMessage(item, ItemName(field, item, i),
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

void ReportUnknownKey(const YamlEntry& entry, absl::string_view where,
                      const Descriptor& type, SweepErrors& errors) {
  const std::vector<std::string> known = KnownKeys(type);
  std::string hint = DidYouMean(entry.key, known);
  if (hint.empty()) {
    hint = known.empty()
               ? ", which has no options"
               : absl::StrCat("; known are ", absl::StrJoin(known, ", "));
  }
  std::string key = Quoted(entry.key);
  key = key.substr(1, key.size() - 2);
  errors.Add(entry.key_position,
             absl::StrCat("unknown key '", key, "' in ", where, hint));
}

}  // namespace

const v1::FieldRule& RuleOf(const FieldDescriptor& field) {
  return field.options().GetExtension(v1::rule);
}

std::vector<std::string> EnumNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 1; i < type.value_count(); ++i) {
    names.push_back(ShortName(*type.value(i)));
  }
  return names;
}

std::string RangeText(const v1::FieldRule& rule) {
  // All digits, and no exponent before it helps.
  const std::string min = absl::StrFormat("%.12g", rule.min());
  const std::string max = absl::StrFormat("%.12g", rule.max());
  std::string text;
  if (rule.has_min() && rule.has_max() && !rule.exclusive_min()) {
    text = absl::StrCat(min, " to ", max);
  } else if (rule.has_min()) {
    text = rule.exclusive_min() ? absl::StrCat("more than ", min)
                                : absl::StrCat(min, " or more");
    if (rule.has_max()) absl::StrAppend(&text, ", at most ", max);
  } else if (rule.has_max()) {
    text = absl::StrCat("at most ", max);
  }
  if (!text.empty() && !rule.unit().empty()) {
    absl::StrAppend(&text, " ", rule.unit());
  }
  return text;
}

void ReadField(const YamlNode& node, const FieldDescriptor& field,
               Message& message, SweepErrors& errors) {
  if (field.is_map()) return ReadStringMap(node, field, message, errors);
  if (field.is_repeated()) return ReadRepeated(node, field, message, errors);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return ReadMessage(
        node, field.name(),
        *message.GetReflection()->MutableMessage(&message, &field), errors);
  }
  ReadScalar(node, field, message, errors);
}

void ReadMessage(const YamlNode& node, absl::string_view where,
                 Message& message, SweepErrors& errors) {
  if (node.kind == YamlNode::Kind::kNull) return;
  const Descriptor& type = *message.GetDescriptor();
  if (node.kind != YamlNode::Kind::kMap) {
    errors.Add(node.position, absl::StrCat(where,
                                           ": expected a map of options, "
                                           "got ",
                                           node.Describe()));
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
    ReadField(*entry.value, *field, message, errors);
  }
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (RuleOf(field).required() && seen.count(field.name()) == 0) {
      errors.Add(node.position,
                 absl::StrCat("missing key '", field.name(), "' in ", where));
    }
  }
}

}  // namespace foldfarm
