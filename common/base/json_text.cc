#include "common/base/json_text.h"

namespace foldfarm {
namespace {

template <typename Json>
Json Parse(absl::string_view text,
           const typename Json::parser_callback_t& watch) {
  return Json::parse(text.begin(), text.end(), watch,
                     /*allow_exceptions=*/false);
}

template <typename Json>
std::string Text(const Json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace);
}

}  // namespace

nlohmann::json ParseJson(absl::string_view text,
                         const nlohmann::json::parser_callback_t& watch) {
  return Parse<nlohmann::json>(text, watch);
}

nlohmann::ordered_json ParseOrderedJson(
    absl::string_view text,
    const nlohmann::ordered_json::parser_callback_t& watch) {
  return Parse<nlohmann::ordered_json>(text, watch);
}

std::string JsonText(const nlohmann::json& json, int indent) {
  return Text(json, indent);
}

std::string JsonText(const nlohmann::ordered_json& json, int indent) {
  return Text(json, indent);
}

}  // namespace foldfarm
