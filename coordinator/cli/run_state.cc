#include "coordinator/cli/run_state.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

struct Field {
  const char* name;
  std::string RunState::*member;
};

constexpr Field kFields[] = {
    {"data_directory", &RunState::data_directory},
    {"data_fingerprint", &RunState::data_fingerprint},
    {"dataset", &RunState::dataset},
    {"sweep_digest", &RunState::sweep_digest},
    {"request_id", &RunState::request_id},
    {"sweep", &RunState::sweep},
    {"former_sweep", &RunState::former_sweep},
};

}  // namespace

absl::StatusOr<RunState> LoadRunState(const std::string& path) {
  RunState state;
  if (!FileExists(path)) return state;
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const auto json = ParseJson(text);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": not a JSON object; remove it to start the run anew"));
  }
  for (const Field& field : kFields) {
    const auto value = json.find(field.name);
    if (value == json.end()) continue;
    if (!value->is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", field.name, " is ", JsonText(*value),
                       ", expected a string; remove the file to start the run "
                       "anew"));
    }
    state.*field.member = value->get<std::string>();
  }
  return state;
}

absl::Status SaveRunState(const std::string& path, const RunState& state) {
  nlohmann::ordered_json json;
  for (const Field& field : kFields) json[field.name] = state.*field.member;
  return WriteFileDurably(path, JsonText(json, 2) + "\n");
}

std::string SweepDigest(const v1::SweepSpec& spec, const std::string& dataset) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // Maps in order.
    spec.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(absl::StrCat(dataset, "\n", bytes));
}

}  // namespace foldfarm
