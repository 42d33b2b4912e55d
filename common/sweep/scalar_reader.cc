#include "common/sweep/scalar_reader.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace foldfarm {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// "OPTIMIZER_ADAMW" of the type that begins with "OPTIMIZER_UNSPECIFIED" ->
// "adamw".
std::string ShortName(const EnumValueDescriptor& value) {
  constexpr absl::string_view kUnspecified = "UNSPECIFIED";
  const std::string& zero = value.type()->value(0)->name();
  return absl::AsciiStrToLower(
      value.name().substr(zero.size() - kUnspecified.size()));
}

bool InRange(double value, const v1::FieldRule& rule) {
  if (rule.has_min() &&
      (rule.exclusive_min() ? value <= rule.min() : value < rule.min())) {
    return false;
  }
  return !rule.has_max() || value <= rule.max();
}

bool CheckRange(const YamlNode& node, const Target& target, double value,
                SweepErrors& errors) {
  if (InRange(value, target.rule)) return true;
  errors.Add(node.position,
             absl::StrCat(target.name, " is ", node.text, ", expected ",
                          RangeText(target.rule)));
  return false;
}

bool IsPlain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar && !node.quoted;
}

bool IsWhole(absl::string_view text) {
  absl::ConsumePrefix(&text, "-");
  return !text.empty() && absl::c_all_of(text, absl::ascii_isdigit);
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

void ReadDouble(const YamlNode& node, const Target& target, Message& message,
                SweepErrors& errors) {
  double value = 0;
  if (!IsPlain(node) || !absl::SimpleAtod(node.text, &value)) {
    return Expected(node, target, "a number", errors);
  }
  if (!std::isfinite(value)) {
    return Expected(node, target, "a finite number", errors);
  }
  if (!CheckRange(node, target, value, errors)) return;
  Store<double>(message, target.field, &Reflection::SetDouble,
                &Reflection::AddDouble, value);
}

template <typename Integer>
void ReadInteger(const YamlNode& node, const Target& target, Message& message,
                 SweepErrors& errors) {
  int64_t value = 0;
  if (!IsPlain(node) || !absl::SimpleAtoi(node.text, &value)) {
    // One that is too large for any number has the range told, too.
    double large = 0;
    if (IsPlain(node) && IsWhole(node.text) &&
        absl::SimpleAtod(node.text, &large) && !InRange(large, target.rule)) {
      CheckRange(node, target, large, errors);
      return;
    }
    return Expected(node, target, "a whole number", errors);
  }
  if (!CheckRange(node, target, static_cast<double>(value), errors)) return;
  if (value < std::numeric_limits<Integer>::min() ||
      value > std::numeric_limits<Integer>::max()) {
    errors.Add(node.position,
               absl::StrCat(target.name, " is ", node.text, ", expected ",
                            std::numeric_limits<Integer>::min(), " to ",
                            std::numeric_limits<Integer>::max()));
    return;
  }
  if constexpr (std::is_signed_v<Integer>) {
    Store<int32_t>(message, target.field, &Reflection::SetInt32,
                   &Reflection::AddInt32, static_cast<int32_t>(value));
  } else {
    Store<uint32_t>(message, target.field, &Reflection::SetUInt32,
                    &Reflection::AddUInt32, static_cast<uint32_t>(value));
  }
}

void ReadBool(const YamlNode& node, const Target& target, Message& message,
              SweepErrors& errors) {
  if (!IsPlain(node) || (node.text != "true" && node.text != "false")) {
    return Expected(node, target, "true or false", errors);
  }
  Store<bool>(message, target.field, &Reflection::SetBool, &Reflection::AddBool,
              node.text == "true");
}

void ReadString(const YamlNode& node, const Target& target, Message& message,
                SweepErrors& errors) {
  if (node.kind != YamlNode::Kind::kScalar) {
    return Expected(node, target, "a text", errors);
  }
  Store<std::string>(message, target.field, &Reflection::SetString,
                     &Reflection::AddString, node.text);
}

void ReadEnum(const YamlNode& node, const Target& target, Message& message,
              SweepErrors& errors) {
  const EnumDescriptor& type = *target.field.enum_type();
  const std::vector<std::string> names = EnumNames(type);
  if (node.kind == YamlNode::Kind::kScalar) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] != node.text) continue;
      Store<const EnumValueDescriptor*>(
          message, target.field, &Reflection::SetEnum, &Reflection::AddEnum,
          type.value(static_cast<int>(i) + 1));
      return;
    }
  }
  const std::string expected = absl::StrJoin(names, " or ");
  errors.Add(
      node.position,
      absl::StrCat(target.name, ": expected ", expected, ", got ",
                   node.Describe(),
                   node.kind == YamlNode::Kind::kScalar
                       ? DidYouMean(absl::AsciiStrToLower(node.text), names)
                       : ""));
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

void Expected(const YamlNode& node, const Target& target,
              absl::string_view expected, SweepErrors& errors) {
  std::string hint;
  if (node.kind == YamlNode::Kind::kScalar && node.quoted) {
    hint = "; drop the quotes";
  }
  errors.Add(node.position, absl::StrCat(target.name, ": expected ", expected,
                                         ", got ", node.Describe(), hint));
}

void ReadScalar(const YamlNode& node, const Target& target, Message& message,
                SweepErrors& errors) {
  switch (target.field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ReadDouble(node, target, message, errors);
    case FieldDescriptor::CPPTYPE_INT32:
      return ReadInteger<int32_t>(node, target, message, errors);
    case FieldDescriptor::CPPTYPE_UINT32:
      return ReadInteger<uint32_t>(node, target, message, errors);
    case FieldDescriptor::CPPTYPE_BOOL:
      return ReadBool(node, target, message, errors);
    case FieldDescriptor::CPPTYPE_STRING:
      return ReadString(node, target, message, errors);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(node, target, message, errors);
    default:
      errors.Add(node.position, absl::StrCat(target.name,
                                             ": no sweep file can "
                                             "say this option's type, ",
                                             target.field.cpp_type_name()));
  }
}

}  // namespace foldfarm
