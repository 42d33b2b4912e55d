#include "coordinator/cli/sweep_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/sweep/message_reader.h"

namespace foldfarm {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Json = nlohmann::ordered_json;
using Path = std::vector<std::string>;

Json ToTree(const Message& message);

std::string EnumWord(const google::protobuf::EnumValueDescriptor& value) {
  const std::vector<std::string> names = EnumNames(*value.type());
  // The unspecified value comes first and has no name.
  const int index = value.index() - 1;
  return index >= 0 && index < static_cast<int>(names.size()) ? names[index]
                                                              : value.name();
}

// Element `index` of a repeated field; -1: a field that has one value.
Json Value(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool many = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return many ? r.GetRepeatedBool(message, &field, index)
                  : r.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_INT32:
      return many ? r.GetRepeatedInt32(message, &field, index)
                  : r.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return many ? r.GetRepeatedUInt32(message, &field, index)
                  : r.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return many ? r.GetRepeatedInt64(message, &field, index)
                  : r.GetInt64(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return many ? r.GetRepeatedUInt64(message, &field, index)
                  : r.GetUInt64(message, &field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return many ? r.GetRepeatedFloat(message, &field, index)
                  : r.GetFloat(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return many ? r.GetRepeatedDouble(message, &field, index)
                  : r.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r.GetRepeatedString(message, &field, index)
                  : r.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumWord(*(many ? r.GetRepeatedEnum(message, &field, index)
                             : r.GetEnum(message, &field)));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToTree(many ? r.GetRepeatedMessage(message, &field, index)
                         : r.GetMessage(message, &field));
  }
  return nullptr;
}

// The fields that are set, in the order of the proto file.
Json ToTree(const Message& message) {
  const Reflection& r = *message.GetReflection();
  Json tree = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (!field.is_repeated()) {
      if (r.HasField(message, &field)) {
        tree[field.name()] = Value(message, field, -1);
      }
      continue;
    }
    const int size = r.FieldSize(message, &field);
    if (size == 0) continue;
    Json& list = tree[field.name()];
    list = field.is_map() ? Json::object() : Json::array();
    for (int k = 0; k < size; ++k) {
      Json value = Value(message, field, k);
      if (field.is_map()) {
        const std::string key = value["key"].is_string()
                                    ? value["key"].get<std::string>()
                                    : JsonText(value["key"]);
        list[key] = value["value"];
      } else {
        list.push_back(std::move(value));
      }
    }
  }
  return tree;
}

// YAML in one line.
std::string Flow(const Json& value) {
  if (value.is_object() || value.is_array()) {
    std::string text = value.is_object() ? "{" : "[";
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (it != value.begin()) text += ", ";
      if (value.is_object()) {
        absl::StrAppend(&text, Flow(Json(it.key())), ": ");
      }
      text += Flow(it.value());
    }
    return absl::StrCat(text, value.is_object() ? "}" : "]");
  }
  if (!value.is_string()) return JsonText(value);
  const std::string& text = value.get_ref<const std::string&>();
  // Plain where nothing could take it for something else.
  const bool plain = !text.empty() && !absl::ascii_isdigit(text[0]) &&
                     text[0] != '-' && text[0] != '.' && text != "true" &&
                     text != "false" && text != "null" &&
                     std::all_of(text.begin(), text.end(), [](unsigned char c) {
                       return absl::ascii_isalnum(c) || c == '_' || c == '.' ||
                              c == '-' || c == '/';
                     });
  return plain ? text : JsonText(value);
}

// Every value of `tree` that is no object, by path, in order.
void Flatten(const Json& tree, Path& path,
             std::vector<std::pair<Path, Json>>& leaves) {
  for (auto it = tree.begin(); it != tree.end(); ++it) {
    path.push_back(it.key());
    if (it.value().is_object() && !it.value().empty()) {
      Flatten(it.value(), path, leaves);
    } else {
      leaves.push_back({path, it.value()});
    }
    path.pop_back();
  }
}

void Put(Json& tree, const Path& path, const Json& value) {
  Json* at = &tree;
  for (const std::string& key : path) at = &(*at)[key];
  *at = value;
}

// A model's options but for its name and architecture.
struct Options {
  std::vector<std::pair<Path, Json>> leaves;

  const Json* Find(const Path& path) const {
    const auto leaf =
        std::find_if(leaves.begin(), leaves.end(),
                     [&](const auto& one) { return one.first == path; });
    return leaf == leaves.end() ? nullptr : &leaf->second;
  }
};

// What all models have and most say alike.
Options CommonOf(const std::vector<Options>& models) {
  Options common;
  if (models.size() < 2) return common;
  for (const auto& [path, first] : models[0].leaves) {
    std::vector<std::pair<const Json*, int>> votes;
    bool everywhere = true;
    for (const Options& model : models) {
      const Json* value = model.Find(path);
      if (value == nullptr) {
        everywhere = false;
        break;
      }
      const auto vote =
          std::find_if(votes.begin(), votes.end(),
                       [&](const auto& one) { return *one.first == *value; });
      if (vote == votes.end()) {
        votes.push_back({value, 1});
      } else {
        ++vote->second;
      }
    }
    if (!everywhere) continue;
    const auto most = std::max_element(
        votes.begin(), votes.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    common.leaves.push_back({path, *most->first});
  }
  return common;
}

// Every value that differs, below `path`, in the order of the proto file.
void Differ(const Json& now, const Json& before, const std::string& path,
            std::vector<ChangedOption>& changed) {
  if (now == before) return;
  const auto below = [&](const std::string& key) {
    return path.empty() ? key : absl::StrCat(path, ".", key);
  };
  if (now.is_object() && before.is_object()) {
    for (auto it = now.begin(); it != now.end(); ++it) {
      const auto former = before.find(it.key());
      Differ(it.value(), former == before.end() ? Json() : *former,
             below(it.key()), changed);
    }
    for (auto it = before.begin(); it != before.end(); ++it) {
      if (now.contains(it.key())) continue;
      changed.push_back({below(it.key()), "not set", Flow(it.value())});
    }
    return;
  }
  if (now.is_array() && before.is_array() && now.size() == before.size() &&
      !now.empty() && now[0].is_object()) {
    for (size_t i = 0; i < now.size(); ++i) {
      Differ(now[i], before[i], absl::StrCat(path, "[", i, "]"), changed);
    }
    return;
  }
  changed.push_back(
      {path, Flow(now), before.is_null() ? "not set" : Flow(before)});
}

}  // namespace

std::vector<ChangedOption> ChangedOptions(const v1::ModelSpec& now,
                                          const v1::ModelSpec& before) {
  std::vector<ChangedOption> changed;
  Differ(ToTree(now), ToTree(before), "", changed);
  return changed;
}

std::vector<ChangedOption> ChangedOptions(const v1::GetJobResponse& job,
                                          const v1::SweepSpec& spec) {
  for (const v1::ModelSpec& model : spec.models()) {
    if (model.name() != job.job().model() || !job.has_model()) continue;
    return ChangedOptions(job.model(), model);
  }
  return {};
}

std::string SweepText(const v1::SweepSpec& spec) {
  v1::SweepSpec head = spec;
  head.clear_models();
  if (head.has_folds()) head.mutable_folds()->clear_assignment();
  std::string text;
  const Json top = ToTree(head);
  for (auto it = top.begin(); it != top.end(); ++it) {
    absl::StrAppend(&text, it.key(), ": ", Flow(it.value()));
    if (it.key() == "folds" && !spec.folds().assignment().empty()) {
      absl::StrAppend(&text, "  # ", spec.folds().assignment_size(),
                      " samples");
    }
    text += "\n";
  }
  std::vector<Options> models;
  for (const v1::ModelSpec& model : spec.models()) {
    v1::ModelSpec rest = model;
    rest.clear_name();
    rest.clear_arch();
    Path path;
    Flatten(ToTree(rest), path, models.emplace_back().leaves);
  }
  const Options common = CommonOf(models);
  Json defaults = Json::object();
  for (const auto& [path, value] : common.leaves) Put(defaults, path, value);
  if (!defaults.empty()) text += "defaults:\n";
  for (auto it = defaults.begin(); it != defaults.end(); ++it) {
    absl::StrAppend(&text, "  ", it.key(), ": ", Flow(it.value()), "\n");
  }
  text += "models:\n";
  for (int i = 0; i < spec.models_size(); ++i) {
    Json model = Json::object();
    model["name"] = spec.models(i).name();
    model["arch"] = ToTree(spec.models(i).arch());
    for (const auto& [path, value] : models[i].leaves) {
      const Json* usual = common.Find(path);
      if (usual == nullptr || *usual != value) Put(model, path, value);
    }
    absl::StrAppend(&text, "  - ", Flow(model), "\n");
  }
  return text;
}

}  // namespace foldfarm
