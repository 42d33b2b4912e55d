#include "common/sweep/sweep.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/sweep/expand.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/set_options.h"
#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"

namespace foldfarm {
namespace {

// A million samples with names of some sixty characters.
constexpr size_t kMaxFoldFileBytes = 64 << 20;

// Reads a file of `what`, unless it is larger; it may be a pipe.
absl::StatusOr<std::string> ReadLimited(const std::string& path,
                                        absl::string_view what,
                                        size_t max_bytes) {
  FOLDFARM_RETURN_IF_ERROR(FileSize(path).status());  // Says why it is absent.
  const auto refuse = [&](absl::string_view got) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1:1: got ", got, ", expected ", what,
                     " of at most ", max_bytes, " bytes"));
  };
  if (IsDirectory(path)) return refuse("a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoStatus(path, "cannot open");
  std::string text;
  std::string buffer(1 << 16, '\0');
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())),
         file.gcount() > 0) {
    text.append(buffer, 0, static_cast<size_t>(file.gcount()));
    if (text.size() > max_bytes) return refuse("more");
  }
  if (!file.eof()) return ErrnoStatus(path, "cannot read");
  return text;
}

constexpr char kTypeHost[] = "type.googleapis.com";

// Fills `folds.assignment` from `folds.file`.
// `file_name` is the sweep file's, beside which the fold file is.
void ReadFolds(const YamlNode& root, absl::string_view file_name,
               const FoldFileReader& read_fold_file, v1::FoldsSpec& folds,
               SweepErrors& errors) {
  const YamlNode* file = root.FindPath({"folds", "file"});
  const FilePosition position =
      file == nullptr ? root.position : file->position;  // Null: by --set.
  if (!read_fold_file) {
    errors.Add(position, "file: fold files cannot be read here");
    return;
  }
  const absl::StatusOr<std::string> text = read_fold_file(folds.file());
  if (!text.ok()) {
    errors.Add(position, absl::StrCat("file: ", text.status().message()));
    return;
  }
  const absl::StatusOr<std::vector<v1::FoldAssignment>> rows = ParseFoldFile(
      *text, absl::StrContains(file_name, '/')
                 ? JoinPath(DirectoryOf(std::string(file_name)), folds.file())
                 : folds.file());
  if (!rows.ok()) {
    errors.AddElsewhere(std::string(rows.status().message()));
    return;
  }
  folds.mutable_assignment()->Add(rows->begin(), rows->end());
}

}  // namespace

absl::StatusOr<v1::SweepSpec> ParseSweep(absl::string_view yaml,
                                         absl::string_view file_name,
                                         const FoldFileReader& read_fold_file,
                                         const std::vector<std::string>& sets) {
  FOLDFARM_ASSIGN_OR_RETURN(const YamlNodePtr root, ReadYaml(yaml, file_name));
  SweepErrors errors(file_name);
  v1::SweepSpec spec;
  if (root->kind == YamlNode::Kind::kNull) {
    errors.Add(root->position, "the file is empty");
    return errors.ToStatus();
  }
  ReadMessage(*root, "the sweep", spec, errors);
  SetOptions set = ParseSetOptions(sets, errors);
  const bool sets_read = errors.empty();
  set.ApplyTo(spec);
  if (!spec.folds().file().empty()) {
    ReadFolds(*root, file_name, read_fold_file, *spec.mutable_folds(), errors);
  }
  ExpandSweep(*root, set, spec, errors);
  if (sets_read && !sets.empty()) {
    if (!errors.empty()) {
      errors.AddElsewhere(absl::StrCat(file_name, ": as changed by --set ",
                                       absl::StrJoin(sets, " --set ")));
    }
    set.ReportUnused(errors);
  }
  FOLDFARM_RETURN_IF_ERROR(errors.ToStatus());
  return spec;
}

absl::StatusOr<v1::SweepSpec> LoadSweepFile(
    const std::string& path, const std::vector<std::string>& sets) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string yaml,
                            ReadLimited(path, "a sweep file", kMaxYamlBytes));
  return ParseSweep(
      yaml, path,
      [&](const std::string& name) {
        return ReadLimited(JoinPath(DirectoryOf(path), name), "a fold file",
                           kMaxFoldFileBytes);
      },
      sets);
}

int FoldCount(const v1::FoldsSpec& folds) {
  if (!folds.holdout().empty()) return 1;
  if (!folds.has_file()) return folds.count();
  int count = 0;
  for (const v1::FoldAssignment& row : folds.assignment()) {
    count = std::max(count, row.fold() + 1);
  }
  return count;
}

int MostSlots() {
  return static_cast<int>(
      RuleOf(*v1::ModelSpec::descriptor()->FindFieldByName("slots")).max());
}

absl::Status CheckSweepName(absl::string_view name) {
  if (!IsValidName(name, kMaxSweepName)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sweep name is ", Quoted(name), ", expected 1 to ",
                     kMaxSweepName, " of [A-Za-z0-9._-]"));
  }
  if (LooksLikeSweepId(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sweep name is ", Quoted(name),
                     ", which is how the farm's own ids look; expected another "
                     "one"));
  }
  return absl::OkStatus();
}

std::string ModelToJson(const v1::ModelSpec& model) {
  // By way of bytes whose maps are in order; a message's own are in none.
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    model.SerializeToCodedStream(&coded);
  }
  static google::protobuf::util::TypeResolver& types =
      *google::protobuf::util::NewTypeResolverForDescriptorPool(
          kTypeHost, google::protobuf::DescriptorPool::generated_pool());
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails only for text that is not UTF-8, which the parser does not let in.
  (void)google::protobuf::util::BinaryToJsonString(
      &types,
      absl::StrCat(kTypeHost, "/", v1::ModelSpec::descriptor()->full_name()),
      bytes, &json, options);
  return json;
}

}  // namespace foldfarm
