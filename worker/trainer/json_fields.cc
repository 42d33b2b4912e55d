#include "worker/trainer/json_fields.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/json_text.h"

namespace foldfarm {
namespace {

// "tempStep" -> "temp_step"; "temp_step" stays.
std::string SnakeCase(absl::string_view name) {
  std::string result;
  for (const char c : name) {
    if (absl::ascii_isupper(c)) {
      result += '_';
      result += absl::ascii_tolower(c);
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

JsonFields::JsonFields(const nlohmann::json& object, std::string where)
    : where_(std::move(where)) {
  if (!object.is_object()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(where_, " is ", object.type_name(), ", expected object"));
    return;
  }
  for (const auto& item : object.items()) {
    fields_[SnakeCase(item.key())] = &item.value();
  }
}

std::string JsonFields::Path(absl::string_view name) const {
  return absl::StrCat(where_, where_.ends_with(':') ? " " : ".", name);
}

void JsonFields::Fail(absl::string_view name, absl::string_view message) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(absl::StrCat(Path(name), " ", message));
}

const nlohmann::json* JsonFields::Take(absl::string_view name) {
  const auto it = fields_.find(std::string(name));
  if (it == fields_.end()) return nullptr;
  const nlohmann::json* json = it->second;
  fields_.erase(it);
  return json->is_null() ? nullptr : json;
}

void JsonFields::Get(absl::string_view name, std::string& value) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  if (json->is_string()) {
    value = json->get<std::string>();
  } else {
    Fail(name, absl::StrCat("is ", JsonText(*json), ", expected a string"));
  }
}

void JsonFields::Get(absl::string_view name, bool& value) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  if (json->is_boolean()) {
    value = json->get<bool>();
  } else {
    Fail(name,
         absl::StrCat("is ", JsonText(*json), ", expected true or false"));
  }
}

void JsonFields::Get(absl::string_view name, double& value, double min,
                     double max) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  if (!json->is_number() || !(json->get<double>() >= min) ||
      !(json->get<double>() <= max)) {
    Fail(name, absl::StrCat("is ", JsonText(*json), ", expected a number from ",
                            min, " to ", max));
    return;
  }
  value = json->get<double>();
}

int64_t JsonFields::Integer(absl::string_view name, const nlohmann::json& json,
                            int64_t min, int64_t max) {
  // proto3 JSON writes 4 as 4, but 4.0 is as valid.
  const double number = json.is_number() ? json.get<double>() : std::nan("");
  if (!(number >= static_cast<double>(min)) ||
      !(number <= static_cast<double>(max)) || number != std::floor(number)) {
    Fail(name,
         absl::StrCat("is ", JsonText(json), ", expected a whole number from ",
                      min, " to ", max));
    return min;
  }
  return static_cast<int64_t>(number);
}

void JsonFields::Get(absl::string_view name, int& value, int64_t min,
                     int64_t max) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  value = static_cast<int>(Integer(name, *json, min, max));
}

void JsonFields::Get(absl::string_view name, uint32_t& value) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  value = static_cast<uint32_t>(
      Integer(name, *json, 0, std::numeric_limits<uint32_t>::max()));
}

void JsonFields::Get(absl::string_view name, std::vector<std::string>& value) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  const auto is_string = [](const nlohmann::json& item) {
    return item.is_string();
  };
  if (!json->is_array() ||
      !std::all_of(json->begin(), json->end(), is_string)) {
    Fail(name, "is not an array of strings");
    return;
  }
  value = json->get<std::vector<std::string>>();
}

void JsonFields::Get(absl::string_view name, std::vector<int>& value,
                     int64_t min, int64_t max) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  if (!json->is_array()) {
    Fail(name, absl::StrCat("is ", JsonText(*json), ", expected an array"));
    return;
  }
  value.clear();
  for (const nlohmann::json& item : *json) {
    value.push_back(static_cast<int>(Integer(name, item, min, max)));
  }
}

void JsonFields::Get(absl::string_view name, std::vector<double>& value,
                     double min) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return;
  const auto fits = [&](const nlohmann::json& item) {
    return item.is_number() && item.get<double>() >= min;
  };
  if (!json->is_array() || !std::all_of(json->begin(), json->end(), fits)) {
    Fail(name, absl::StrCat("is ", JsonText(*json),
                            ", expected an array of numbers from ", min));
    return;
  }
  value = json->get<std::vector<double>>();
}

void JsonFields::Get(absl::string_view name,
                     std::map<std::string, std::string>& value) {
  const nlohmann::json* json = Object(name);
  if (json == nullptr) return;
  value.clear();
  for (const auto& [key, item] : json->items()) {
    if (!item.is_string()) {
      Fail(name, absl::StrCat("has ", JsonText(item), " for \"", key,
                              "\", expected a string"));
      return;
    }
    value[key] = item.get<std::string>();
  }
}

void JsonFields::Get(absl::string_view name,
                     std::map<std::string, double>& value, double min) {
  const nlohmann::json* json = Object(name);
  if (json == nullptr) return;
  value.clear();
  for (const auto& [key, item] : json->items()) {
    if (!item.is_number() || !(item.get<double>() >= min)) {
      Fail(name, absl::StrCat("has ", JsonText(item), " for \"", key,
                              "\", expected a number from ", min));
      return;
    }
    value[key] = item.get<double>();
  }
}

int JsonFields::EnumIndex(absl::string_view name, absl::string_view prefix,
                          const std::vector<std::string>& words) {
  const nlohmann::json* json = Take(name);
  if (json == nullptr) return -1;
  std::string word;
  if (json->is_string()) {
    const std::string text = json->get<std::string>();
    word = absl::AsciiStrToLower(
        absl::StartsWith(text, prefix) ? text.substr(prefix.size()) : text);
  }
  const auto it = std::find(words.begin(), words.end(), word);
  if (it == words.end()) {
    Fail(name, absl::StrCat("is ", JsonText(*json), ", expected one of ",
                            absl::StrJoin(words, ", ")));
    return -1;
  }
  return static_cast<int>(it - words.begin());
}

const nlohmann::json* JsonFields::Object(absl::string_view name) {
  const nlohmann::json* json = Take(name);
  if (json != nullptr && !json->is_object()) {
    Fail(name, absl::StrCat("is ", json->type_name(), ", expected object"));
    return nullptr;
  }
  return json;
}

const nlohmann::json* JsonFields::List(absl::string_view name) {
  const nlohmann::json* json = Take(name);
  if (json != nullptr && !json->is_array()) {
    Fail(name, absl::StrCat("is ", json->type_name(), ", expected array"));
    return nullptr;
  }
  return json;
}

absl::Status JsonFields::Finish() {
  if (status_.ok() && !fields_.empty()) {
    Fail(fields_.begin()->first, "is unknown to this trainer");
  }
  return status_;
}

}  // namespace foldfarm
