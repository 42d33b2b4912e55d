#include "coordinator/cli/output.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace foldfarm {

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat(
        "cannot write ", message.GetTypeName(), " as JSON: ",
        std::string(status.message().data(), status.message().size())));
  }
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

absl::Status Show(
    const Console& console, OutputFormat format,
    const google::protobuf::Message& reply,
    absl::FunctionRef<std::string(size_t width, bool colour)> text) {
  if (format == OutputFormat::kJson) {
    absl::StatusOr<std::string> json = ToJson(reply);
    if (!json.ok()) return json.status();
    *console.out << *json << std::flush;
    return absl::OkStatus();
  }
  const size_t width =
      console.out_is_terminal ? TerminalSizeOf(console.out_fd).columns : 0;
  *console.out << console.Fit(text(width, console.out_colour)) << std::flush;
  return absl::OkStatus();
}

std::string StateName(v1::Job::State state) {
  return absl::AsciiStrToLower(v1::Job::State_Name(state));
}
std::string StateName(v1::Sweep::State state) {
  return absl::AsciiStrToLower(v1::Sweep::State_Name(state));
}
std::string StateName(v1::Attempt::State state) {
  return absl::AsciiStrToLower(v1::Attempt::State_Name(state));
}
std::string StateName(v1::Worker::State state) {
  return absl::AsciiStrToLower(v1::Worker::State_Name(state));
}

Style StateStyle(v1::Job::State state) {
  switch (state) {
    case v1::Job::RUNNING:
      return Style::kActive;
    case v1::Job::SUCCEEDED:
      return Style::kGood;
    case v1::Job::FAILED:
      return Style::kBad;
    case v1::Job::CANCELLED:
      return Style::kWarning;
    default:
      return Style::kDim;
  }
}

Style StateStyle(v1::Sweep::State state) {
  switch (state) {
    case v1::Sweep::RUNNING:
      return Style::kActive;
    case v1::Sweep::SUCCEEDED:
      return Style::kGood;
    case v1::Sweep::FAILED:
      return Style::kBad;
    case v1::Sweep::CANCELLED:
      return Style::kWarning;
    default:
      return Style::kDim;
  }
}

Style StateStyle(v1::Attempt::State state) {
  switch (state) {
    case v1::Attempt::RUNNING:
      return Style::kActive;
    case v1::Attempt::SUCCEEDED:
      return Style::kGood;
    case v1::Attempt::FAILED:
    case v1::Attempt::LOST:
      return Style::kBad;
    default:
      return Style::kWarning;
  }
}

Style StateStyle(v1::Worker::State state) {
  switch (state) {
    case v1::Worker::ONLINE:
      return Style::kGood;
    case v1::Worker::DRAINING:
      return Style::kWarning;
    default:
      return Style::kBad;
  }
}

absl::StatusOr<v1::Job::State> ParseJobState(absl::string_view name) {
  v1::Job::State state;
  if (v1::Job::State_Parse(absl::AsciiStrToUpper(name), &state) &&
      state != v1::Job::STATE_UNSPECIFIED) {
    return state;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "state is \"", name,
      "\", expected pending, running, succeeded, failed or cancelled"));
}

std::string Heading(absl::string_view title, bool colour) {
  return Paint(title, Style::kHeader, colour);
}

}  // namespace foldfarm
