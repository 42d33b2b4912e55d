// The reference page of the sweep file, made from sweep.proto's annotations and
// comments.
#include <google/protobuf/descriptor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/option_comments.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

constexpr absl::string_view kBegin =
    "<!-- options: made by `foldfarm options --update`; do not edit -->\n";
constexpr absl::string_view kEnd = "<!-- options: end -->\n";

// What a value looks like in the file.
std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) {
    const bool numbers =
        field.message_type()->FindFieldByName("value")->cpp_type() ==
        FieldDescriptor::CPPTYPE_DOUBLE;
    return absl::StrCat("map of text to ", numbers ? "numbers" : "text");
  }
  std::string name;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      name = "number";
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      name = "true or false";
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      return field.is_repeated() ? "list of texts" : "text";
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

// "adamw: Loshchilov & Hutter 2019. sgd: Nesterov momentum."
std::string ValuesText(const EnumDescriptor& type) {
  const std::vector<std::string> names = EnumNames(type);
  std::vector<std::string> texts;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string comment = OptionComments::Get().Of(absl::StrCat(
        type.name(), ".", type.value(static_cast<int>(i) + 1)->name()));
    if (!comment.empty()) {
      texts.push_back(absl::StrCat("`", names[i], "`: ", comment));
    }
  }
  return absl::StrJoin(texts, " ");
}

std::string MeaningText(const FieldDescriptor& field) {
  std::string meaning = OptionComments::Get().Of(
      absl::StrCat(field.containing_type()->name(), ".", field.name()));
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const std::string values = ValuesText(*field.enum_type());
    absl::StrAppend(&meaning, meaning.empty() || values.empty() ? "" : " ",
                    values);
  } else if (meaning.empty() && field.message_type() != nullptr &&
             !field.is_map()) {
    meaning = OptionComments::Get().Of(field.message_type()->name());
  }
  // A bar would end the cell.
  return absl::StrReplaceAll(meaning, {{"|", "\\|"}});
}

std::string Heading(const std::string& path) {
  return path.empty() ? "The sweep" : absl::StrCat("`", path, "`");
}

// As the sites that show Markdown make it: "modelstrain" of models[].train.
std::string Anchor(const std::string& path) {
  std::string anchor;
  for (const char c : Heading(path)) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_') {
      anchor += absl::ascii_tolower(static_cast<unsigned char>(c));
    } else if (c == ' ') {
      anchor += '-';
    }
  }
  return anchor;
}

class Page {
 public:
  // A section for the options of `type`, then one for every message below it.
  void Describe(const Descriptor& type, const std::string& path) {
    absl::StrAppend(&text_, "\n## ", Heading(path), "\n\n");
    const auto [first, is_new] = described_.emplace(&type, path);
    const std::string comment = OptionComments::Get().Of(type.name());
    if (!comment.empty() && !path.empty()) {
      absl::StrAppend(&text_, comment, "\n\n");
    }
    if (!is_new) {
      absl::StrAppend(&text_, "Options as of [", Heading(first->second), "](#",
                      Anchor(first->second), ").\n");
      return;
    }
    if (type.field_count() == 0) {
      absl::StrAppend(&text_, "No options.\n");
      return;
    }
    if (type.real_oneof_decl_count() > 0) {
      absl::StrAppend(&text_, "Exactly one of them.\n\n");
    }
    absl::StrAppend(&text_, "| option | value | default | range | meaning |\n",
                    "|---|---|---|---|---|\n");
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (RuleOf(field).internal()) continue;
      absl::StrAppend(&text_, "| `", field.name(), "` | ", TypeName(field),
                      " | ", DefaultText(field), " | ",
                      RangeText(RuleOf(field)), " | ", MeaningText(field),
                      " |\n");
    }
    const std::string prefix = path.empty() ? "" : absl::StrCat(path, ".");
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      // `defaults` has the options of a model; `config` is the user's own.
      if (RuleOf(field).internal() || field.is_map() ||
          field.message_type() == nullptr || field.name() == "defaults" ||
          field.message_type()->file() != type.file()) {
        continue;
      }
      Describe(
          *field.message_type(),
          absl::StrCat(prefix, field.name(), field.is_repeated() ? "[]" : ""));
    }
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  // Where a message was described first.
  std::map<const Descriptor*, std::string> described_;
};

}  // namespace

std::string DescribeOptions() {
  Page page;
  page.Describe(*v1::SweepSpec::descriptor(), "");
  return page.text().substr(1);  // Without the empty line in front.
}

absl::StatusOr<std::string> UpdateOptionsPage(absl::string_view page) {
  const size_t begin = page.find(kBegin);
  const size_t end = page.find(kEnd);
  if (begin == absl::string_view::npos || end == absl::string_view::npos ||
      end < begin + kBegin.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected the two lines between which the options go:\n",
                     kBegin, kEnd));
  }
  return absl::StrCat(page.substr(0, begin + kBegin.size()), "\n",
                      DescribeOptions(), "\n", page.substr(end));
}

}  // namespace foldfarm
