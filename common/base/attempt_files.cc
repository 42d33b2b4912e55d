#include "common/base/attempt_files.h"

#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxName = 100;
// Of a label in the name of a file.
constexpr size_t kMaxLabel = 80;

// Files that the worker or the trainer writes; checkpoint folders begin with
// "checkpoint".
constexpr absl::string_view kOwnNames[] = {
    "attempt.json",   "config.json",    "dataset.safetensors", kOofFile,
    kInitWeightsFile, kPredictionsFile, kWeightsFile};
// Those that stand in the folder of an attempt that predicts, before and after.
constexpr absl::string_view kPredictingNames[] = {
    "attempt.json", "dataset.safetensors", kOofFile, kPredictionsFile};

// Bytes of the printable character that `text` begins with; 0: there is none.
size_t PrintableLength(absl::string_view text) {
  const size_t length = Utf8Length(text);
  const auto first = static_cast<unsigned char>(text[0]);
  if (length == 1 && (first < 0x20 || first == 0x7F)) return 0;
  // U+0080 to U+009F are control characters.
  const bool control = length == 2 && first == 0xC2 &&
                       static_cast<unsigned char>(text[1]) < 0xA0;
  return control ? 0 : length;
}

absl::Status Refuse(absl::string_view name, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "file name \"", absl::CHexEscape(name.substr(0, kMaxName)), "\" ", why));
}

}  // namespace

std::string TreesFile(absl::string_view label, size_t place) {
  std::string name(label.substr(0, kMaxLabel));
  for (char& c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') c = '_';
  }
  if (name != label) absl::StrAppend(&name, "~", place);
  return absl::StrCat("model-", name, ".ubj");
}

absl::Status CheckFileName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName) {
    return Refuse(name, absl::StrCat("has ", name.size(),
                                     " bytes, expected 1 to ", kMaxName));
  }
  if (name == "." || name == "..") {
    return Refuse(name, "is a folder's, expected a file's");
  }
  for (size_t i = 0; i < name.size();) {
    const size_t length = PrintableLength(name.substr(i));
    if (length == 0 || name[i] == '/' || name[i] == '\\') {
      return Refuse(name,
                    "holds a slash, a control character or what is not UTF-8, "
                    "expected a plain name");
    }
    i += length;
  }
  if (name.front() == ' ' || name.back() == ' ') {
    return Refuse(name, "begins or ends with a space, expected a plain name");
  }
  return absl::OkStatus();
}

absl::Status CheckUserFileName(absl::string_view name) {
  FOLDFARM_RETURN_IF_ERROR(CheckFileName(name));
  for (const absl::string_view own : kOwnNames) {
    if (name == own) return Refuse(name, "is the farm's own; choose another");
  }
  if (absl::StartsWith(name, "checkpoint")) {
    return Refuse(name, "is kept for checkpoints; choose another");
  }
  return absl::OkStatus();
}

absl::Status CheckResultFileName(absl::string_view name) {
  FOLDFARM_RETURN_IF_ERROR(CheckFileName(name));
  for (const absl::string_view own : kPredictingNames) {
    if (name == own) {
      return Refuse(name, "is not a network's, expected e.g. weights");
    }
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
