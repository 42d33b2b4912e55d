// Reads the fields of a JSON object one by one and notices those nobody asked
// for.
//
// The first error sticks; Finish() returns it, or complains about unknown keys.
// Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINER_JSON_FIELDS_H_
#define FOLDFARM_WORKER_TRAINER_JSON_FIELDS_H_

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace foldfarm {

class JsonFields {
 public:
  // `where` stands before every message: "attempt.json: model.train".
  JsonFields(const nlohmann::json& object, std::string where);

  // Each leaves `value` alone when the field is absent or null. Bounds are
  // inclusive.
  void Get(absl::string_view name, std::string& value);
  void Get(absl::string_view name, bool& value);
  void Get(absl::string_view name, double& value,
           double min = std::numeric_limits<double>::lowest(),
           double max = std::numeric_limits<double>::max());
  void Get(absl::string_view name, int& value, int64_t min, int64_t max);
  void Get(absl::string_view name, uint32_t& value);
  void Get(absl::string_view name, std::vector<std::string>& value);
  void Get(absl::string_view name, std::vector<int>& value, int64_t min,
           int64_t max);
  void Get(absl::string_view name, std::vector<double>& value, double min);
  void Get(absl::string_view name, std::map<std::string, std::string>& value);
  void Get(absl::string_view name, std::map<std::string, double>& value,
           double min);

  // An enum: `names` maps "adamw" to its value; `prefix` is "OPTIMIZER_".
  template <typename Enum>
  void GetEnum(absl::string_view name, absl::string_view prefix,
               std::initializer_list<std::pair<const char*, Enum>> names,
               Enum& value) {
    std::vector<std::string> words;
    for (const auto& item : names) words.push_back(item.first);
    const int index = EnumIndex(name, prefix, words);
    if (index >= 0) value = (names.begin() + index)->second;
  }

  // The object in a field, or null when absent.
  const nlohmann::json* Object(absl::string_view name);
  // The array in a field, or null when absent.
  const nlohmann::json* List(absl::string_view name);

  // "where.name".
  std::string Path(absl::string_view name) const;

  // Notes an error of the caller's own.
  void Fail(absl::string_view name, absl::string_view message);

  absl::Status Finish();

 private:
  const nlohmann::json* Take(absl::string_view name);
  int EnumIndex(absl::string_view name, absl::string_view prefix,
                const std::vector<std::string>& words);
  int64_t Integer(absl::string_view name, const nlohmann::json& json,
                  int64_t min, int64_t max);

  const std::string where_;
  std::map<std::string, const nlohmann::json*> fields_;  // Not yet asked for.
  absl::Status status_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_JSON_FIELDS_H_
