// The reference page of the sweep file, made from sweep.proto's annotations.
#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// What a value looks like in the file.
std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) return "map of text to text";
  std::string name;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      name = "number";
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      name = "true or false";
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      name = "text";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      name = absl::StrJoin(EnumNames(*field.enum_type()), " or ");
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      name = "map";
      break;
    default:
      name = "whole number";
  }
  return field.is_repeated() ? absl::StrCat("list of ", name, "s") : name;
}

std::string DefaultText(const FieldDescriptor& field) {
  const v1::FieldRule& rule = RuleOf(field);
  if (rule.required()) return "required";
  return rule.default_().empty() ? "" : absl::StrCat("`", rule.default_(), "`");
}

// A section for the options of `type`, then one for every message below it.
void Describe(const Descriptor& type, const std::string& path,
              std::string& page) {
  const std::string prefix = path.empty() ? "" : absl::StrCat(path, ".");
  absl::StrAppend(&page, "\n## ",
                  path.empty() ? "The sweep" : absl::StrCat("`", path, "`"),
                  "\n\n");
  if (type.field_count() == 0) {
    absl::StrAppend(&page, "No options.\n");
    return;
  }
  absl::StrAppend(&page, "| option | value | default | range |\n",
                  "|---|---|---|---|\n");
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (RuleOf(field).internal()) continue;
    absl::StrAppend(&page, "| `", field.name(), "` | ", TypeName(field), " | ",
                    DefaultText(field), " | ", RangeText(RuleOf(field)),
                    " |\n");
  }
  if (type.real_oneof_decl_count() > 0) {
    absl::StrAppend(&page, "\nExactly one of them.\n");
  }
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (RuleOf(field).internal() || field.is_map() ||
        field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    // `defaults` has the options of a model.
    if (field.name() == "defaults") continue;
    Describe(
        *field.message_type(),
        absl::StrCat(prefix, field.name(), field.is_repeated() ? "[]" : ""),
        page);
  }
}

}  // namespace

std::string DescribeOptions() {
  std::string page =
      "# Options of the sweep file\n\n"
      "`defaults` takes every option of a model but `name` and `like`. A "
      "model's "
      "own options\nwin over those of the model it is `like`, these over "
      "`defaults`, these over the\ndefaults below.\n";
  Describe(*v1::SweepSpec::descriptor(), "", page);
  return page;
}

}  // namespace foldfarm
