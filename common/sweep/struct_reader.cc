#include "common/sweep/struct_reader.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace foldfarm {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

// Beyond it doubles, and so JSON's numbers, skip whole numbers.
constexpr double kLargestWhole = 9007199254740992.0;  // 2^53

bool IsOneOf(absl::string_view text,
             std::initializer_list<absl::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool AllOf(absl::string_view text, bool (*test)(unsigned char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), test);
}

bool IsOctal(unsigned char c) { return c >= '0' && c <= '7'; }

// The core schema's int: [-+]?[0-9]+, 0o[0-7]+, 0x[0-9a-fA-F]+.
bool ParseWhole(absl::string_view text, double& value) {
  if (absl::ConsumePrefix(&text, "0x")) {
    if (!AllOf(text, absl::ascii_isxdigit)) return false;
    value = 0;
    for (const char c : absl::AsciiStrToLower(text)) {
      value = value * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
  }
  if (absl::ConsumePrefix(&text, "0o")) {
    if (!AllOf(text, IsOctal)) return false;
    value = 0;
    for (const char c : text) value = value * 8 + (c - '0');
    return true;
  }
  absl::string_view digits = text;
  if (absl::StartsWith(digits, "-") || absl::StartsWith(digits, "+")) {
    digits.remove_prefix(1);
  }
  return AllOf(digits, absl::ascii_isdigit) && absl::SimpleAtod(text, &value);
}

// The core schema's float without .inf and .nan:
// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool ParseFraction(absl::string_view text, double& value) {
  const bool looks_so =
      std::all_of(text.begin(), text.end(),
                  [](unsigned char c) {
                    return absl::ascii_isdigit(c) || c == '.' || c == 'e' ||
                           c == 'E' || c == '-' || c == '+';
                  }) &&
      std::any_of(text.begin(), text.end(), absl::ascii_isdigit);
  return looks_so && absl::SimpleAtod(text, &value);
}

void ReadScalarValue(const YamlNode& node, absl::string_view where, Value& out,
                     SweepErrors& errors) {
  const std::string& text = node.text;
  if (node.quoted) {
    out.set_string_value(text);
    return;
  }
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) {
    out.set_null_value(google::protobuf::NULL_VALUE);
    return;
  }
  if (IsOneOf(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) {
    out.set_bool_value(absl::ascii_tolower(text[0]) == 't');
    return;
  }
  absl::string_view unsigned_text = text;
  if (unsigned_text[0] == '-' || unsigned_text[0] == '+') {
    unsigned_text.remove_prefix(1);
  }
  double value = 0;
  const bool endless =
      IsOneOf(unsigned_text, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"});
  if (ParseWhole(text, value)) {
    if (std::abs(value) > kLargestWhole) {
      errors.Add(node.position,
                 absl::StrCat(where, " is ", Quoted(text),
                              ", expected a whole number within 2^53; quote it "
                              "to hand it over as text"));
      return;
    }
    out.set_number_value(value);
  } else if (endless || (ParseFraction(text, value) && !std::isfinite(value))) {
    errors.Add(node.position, absl::StrCat(where, " is ", Quoted(text),
                                           ", expected a finite number"));
  } else if (ParseFraction(text, value)) {
    out.set_number_value(value);
  } else {
    out.set_string_value(text);
  }
}

// The tree's depth is bounded by its reader.
void ReadValue(const YamlNode& node, const std::string& where, Value& out,
               SweepErrors& errors) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      out.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case YamlNode::Kind::kScalar:
      ReadScalarValue(node, where, out, errors);
      break;
    case YamlNode::Kind::kSequence:
      out.mutable_list_value();
      for (size_t i = 0; i < node.items.size(); ++i) {
        ReadValue(*node.items[i], absl::StrCat(where, "[", i, "]"),
                  *out.mutable_list_value()->add_values(), errors);
      }
      break;
    case YamlNode::Kind::kMap:
      ReadStruct(node, where, *out.mutable_struct_value(), errors);
  }
}

}  // namespace

void ReadStruct(const YamlNode& node, absl::string_view where, Struct& out,
                SweepErrors& errors) {
  if (node.kind == YamlNode::Kind::kNull) return;
  if (node.kind != YamlNode::Kind::kMap) {
    errors.Add(node.position,
               absl::StrCat(where, ": expected a map, got ", node.Describe()));
    return;
  }
  for (const YamlEntry& entry : node.entries) {
    if (out.fields().contains(entry.key)) {
      errors.Add(
          entry.key_position,
          absl::StrCat("duplicate key ", Quoted(entry.key), " in ", where));
      continue;
    }
    ReadValue(*entry.value, absl::StrCat(where, ".", entry.key),
              (*out.mutable_fields())[entry.key], errors);
  }
}

}  // namespace foldfarm
