#include "common/sweep/sweep.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/sweep/expand.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"

namespace foldfarm {
namespace {

// Fills `folds.assignment` from `folds.file`.
void ReadFolds(const YamlNode& root, const FoldFileReader& read_fold_file,
               v1::FoldsSpec& folds, SweepErrors& errors) {
  const FilePosition position = root.Find("folds")->Find("file")->position;
  if (!read_fold_file) {
    errors.Add(position, "file: fold files cannot be read here");
    return;
  }
  const absl::StatusOr<std::string> text = read_fold_file(folds.file());
  if (!text.ok()) {
    errors.Add(position, absl::StrCat("file: ", text.status().message()));
    return;
  }
  const absl::StatusOr<std::vector<v1::FoldAssignment>> rows =
      ParseFoldFile(*text, folds.file());
  if (!rows.ok()) {
    errors.AddElsewhere(std::string(rows.status().message()));
    return;
  }
  folds.mutable_assignment()->Add(rows->begin(), rows->end());
}

}  // namespace

absl::StatusOr<v1::SweepSpec> ParseSweep(absl::string_view yaml,
                                         absl::string_view file_name,
                                         const FoldFileReader& read_fold_file) {
  FOLDFARM_ASSIGN_OR_RETURN(const YamlNodePtr root, ReadYaml(yaml, file_name));
  SweepErrors errors(file_name);
  v1::SweepSpec spec;
  if (root->kind == YamlNode::Kind::kNull) {
    errors.Add(root->position, "the file is empty");
    return errors.ToStatus();
  }
  ReadMessage(*root, "the sweep", spec, errors);
  if (!spec.folds().file().empty()) {
    ReadFolds(*root, read_fold_file, *spec.mutable_folds(), errors);
  }
  ExpandSweep(*root, spec, errors);
  FOLDFARM_RETURN_IF_ERROR(errors.ToStatus());
  return spec;
}

absl::StatusOr<v1::SweepSpec> LoadSweepFile(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t size_bytes, FileSize(path));
  if (IsDirectory(path) || size_bytes > static_cast<int64_t>(kMaxYamlBytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": expected a sweep file of at most ", kMaxYamlBytes, " bytes"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(path));
  return ParseSweep(yaml, path, [&](const std::string& name) {
    return ReadFile(JoinPath(DirectoryOf(path), name));
  });
}

std::string ModelToJson(const v1::ModelSpec& model) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails only for text that is not UTF-8, which the parser does not let in.
  (void)google::protobuf::util::MessageToJsonString(model, &json, options);
  return json;
}

}  // namespace foldfarm
