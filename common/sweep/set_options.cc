#include "common/sweep/set_options.h"

#include <google/protobuf/descriptor.h>

#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/sweep/merge.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/yaml_tree.h"

namespace foldfarm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// What only the file can say.
bool IsFileOnly(absl::string_view key) {
  return key == "models" || key == "defaults" || key == "like";
}

const FieldDescriptor* FindOption(const Descriptor& type,
                                  const std::string& key) {
  const FieldDescriptor* field = type.FindFieldByName(key);
  return field == nullptr || RuleOf(*field).internal() ? nullptr : field;
}

// What a first word of a path may be, and where an option of this name is.
std::string UnknownKeyHint(const std::string& key) {
  std::vector<std::string> known;
  std::string below;
  for (const Descriptor* type :
       {v1::SweepSpec::descriptor(), v1::ModelSpec::descriptor()}) {
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor& field = *type->field(i);
      if (RuleOf(field).internal() || IsFileOnly(field.name())) continue;
      known.push_back(field.name());
      if (field.message_type() != nullptr && !field.is_repeated() &&
          FindOption(*field.message_type(), key) != nullptr) {
        below = absl::StrCat(" (did you mean '", field.name(), ".", key, "'?)");
      }
    }
  }
  if (!below.empty()) return below;
  const std::string hint = DidYouMean(key, known);
  return hint.empty() ? absl::StrCat("; known are ", absl::StrJoin(known, ", "))
                      : hint;
}

// `value` below the keys of `path`, the first left out: {b: {c: value}}.
YamlNodePtr Nest(const std::vector<std::string>& path, YamlNodePtr value) {
  for (size_t i = path.size(); i-- > 1;) {
    auto map = std::make_shared<YamlNode>();
    map->kind = YamlNode::Kind::kMap;
    map->position = value->position;
    map->nodes += value->nodes;
    map->depth += value->depth;
    map->entries.push_back({path[i], value->position, std::move(value)});
    value = std::move(map);
  }
  return value;
}

// Reads one KEY=VALUE; mistakes are without a place.
void ParseOne(const std::string& text, SetOptions& set, SweepErrors& errors) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    errors.AddElsewhere("expected KEY=VALUE, such as train.epochs=1");
    return;
  }
  const std::vector<std::string> path =
      absl::StrSplit(text.substr(0, equals), '.');
  if (path.size() > kMaxYamlDepth) {
    errors.AddElsewhere("the key is nested too deep");
    return;
  }
  const std::string value_text = text.substr(equals + 1);
  YamlNodePtr value = std::make_shared<YamlNode>();
  if (!absl::StripAsciiWhitespace(value_text).empty()) {
    const auto read = ReadYaml(value_text, "value");
    if (!read.ok()) {
      errors.AddElsewhere(std::string(read.status().message()));
      return;
    }
    value = *read;
  }
  if (IsFileOnly(path[0])) {
    errors.AddElsewhere(absl::StrCat(
        "'", path[0],
        "' cannot be set; an option of a model is set in all of them, such as "
        "train.epochs=1"));
    return;
  }
  const YamlNodePtr node = Nest(path, value);
  if (const FieldDescriptor* field =
          FindOption(*v1::SweepSpec::descriptor(), path[0])) {
    v1::SweepSpec sweep;
    ReadField(*node, *field, sweep, errors);
    MergeOver(sweep, set.sweep);
  } else if (const FieldDescriptor* field =
                 FindOption(*v1::ModelSpec::descriptor(), path[0])) {
    SetOptions::OfModels one{.text = text, .model = {}, .used = false};
    ReadField(*node, *field, one.model, errors);
    set.models.push_back(std::move(one));
  } else {
    errors.AddElsewhere(
        absl::StrCat("unknown key '", path[0], "'", UnknownKeyHint(path[0])));
  }
}

}  // namespace

void SetOptions::ApplyTo(v1::SweepSpec& spec) const {
  const v1::FoldsSpec& folds = sweep.folds();
  if (folds.has_count() || folds.has_file() || !folds.holdout().empty()) {
    spec.mutable_folds()->clear_count();
    spec.mutable_folds()->clear_file();
    spec.mutable_folds()->clear_holdout();
  }
  MergeOver(sweep, spec);
}

void SetOptions::ApplyTo(v1::ModelSpec& model) {
  for (OfModels& set : models) {
    if (set.model.has_arch() &&
        set.model.arch().kind_case() != model.arch().kind_case()) {
      continue;
    }
    set.used = true;
    MergeOver(set.model, model);
  }
}

void SetOptions::ApplyTo(v1::TrainSpec& train) const {
  for (const OfModels& set : models) MergeOver(set.model.train(), train);
}

void SetOptions::ReportUnused(SweepErrors& errors) const {
  for (const OfModels& set : models) {
    if (set.used) continue;
    errors.AddElsewhere(absl::StrCat(
        "--set ", set.text, ": no model of the sweep has this architecture"));
  }
}

SetOptions ParseSetOptions(const std::vector<std::string>& sets,
                           SweepErrors& errors) {
  SetOptions all;
  for (const std::string& text : sets) {
    SweepErrors own("");
    ParseOne(text, all, own);
    for (const std::string& message : own.Messages()) {
      errors.AddElsewhere(absl::StrCat("--set ", text, ": ", message));
    }
  }
  return all;
}

}  // namespace foldfarm
