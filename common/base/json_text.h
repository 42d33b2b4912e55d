// JSON as text: parsing and printing that never throw, compiled once. (A unit
// that calls nlohmann's parse() or dump() compiles its parser or printer, which
// takes seconds.)
#ifndef FOLDFARM_COMMON_BASE_JSON_TEXT_H_
#define FOLDFARM_COMMON_BASE_JSON_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace foldfarm {

// The value of `text`; one that is_discarded() when it is not JSON. `watch` is
// called as nlohmann's parse() calls it and may leave values out.
nlohmann::json ParseJson(absl::string_view text,
                         const nlohmann::json::parser_callback_t& watch = {});

// The same, keeping the order of an object's members.
nlohmann::ordered_json ParseOrderedJson(
    absl::string_view text,
    const nlohmann::ordered_json::parser_callback_t& watch = {});

// `indent` is the number of spaces a level; below 0: all on one line. Bytes
// that are not UTF-8 become U+FFFD.
std::string JsonText(const nlohmann::json& json, int indent = -1);
std::string JsonText(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_JSON_TEXT_H_
