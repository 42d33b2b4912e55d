#include "coordinator/cli/sweep_inputs.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/sweep/yaml_tree.h"
#include "common/weights/weights_file.h"
#include "coordinator/cli/transfer.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxName = 100;

std::string Beside(const std::string& sweep_file, const std::string& name) {
  return JoinPath(DirectoryOf(sweep_file), name);
}

absl::Status CheckFile(const std::string& path) {
  if (!FileExists(path)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  if (IsDirectory(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is a folder, expected a file"));
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const std::string& path, v1::WeightsFormat format) {
  FOLDFARM_RETURN_IF_ERROR(CheckFile(path));
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<WeightsFile> file,
                            WeightsFile::Open(path));
  const bool fits = format == v1::WEIGHTS_FORMAT_SAFETENSORS
                        ? file->container() == WeightsContainer::kSafetensors
                    : format == v1::WEIGHTS_FORMAT_PYTORCH
                        ? file->container() == WeightsContainer::kPytorch
                        : true;
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": the file is ",
      std::string(WeightsContainerName(file->container()).data(),
                  WeightsContainerName(file->container()).size()),
      ", expected ",
      format == v1::WEIGHTS_FORMAT_PYTORCH ? "pytorch" : "safetensors",
      " by init.format"));
}

absl::Status CheckExecFile(const std::string& path) {
  FOLDFARM_RETURN_IF_ERROR(CheckFile(path));
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t size_bytes, FileSize(path));
  if (size_bytes <= std::numeric_limits<int32_t>::max()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has ", size_bytes, " bytes, expected at most 2^31"));
}

// Where a map below `node` says `value` under `key`, alone or in a list; line
// 0: nowhere.
FilePosition FindValue(const YamlNode& node, absl::string_view key,
                       absl::string_view value) {
  const auto is_value = [&](const YamlNode& at) {
    return at.kind == YamlNode::Kind::kScalar && at.text == value;
  };
  for (const YamlEntry& entry : node.entries) {
    if (entry.key == key) {
      if (is_value(*entry.value)) return entry.value->position;
      for (const YamlNodePtr& item : entry.value->items) {
        if (is_value(*item)) return item->position;
      }
    }
    const FilePosition below = FindValue(*entry.value, key, value);
    if (below.line > 0) return below;
  }
  for (const YamlNodePtr& item : node.items) {
    const FilePosition below = FindValue(*item, key, value);
    if (below.line > 0) return below;
  }
  return {};
}

// The sweep file once more; null when it cannot be read again (a pipe).
YamlNodePtr ReadAgain(const std::string& sweep_file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(sweep_file, ignored)) return nullptr;
  const absl::StatusOr<std::string> text = ReadFile(sweep_file);
  if (!text.ok()) return nullptr;
  return ReadYaml(*text, sweep_file).value_or(nullptr);
}

// "FILE:LINE:COLUMN" of an option; FILE when --set says it.
std::string PlaceOf(const std::string& sweep_file, const YamlNode* tree,
                    absl::string_view key, absl::string_view value) {
  const FilePosition place =
      tree == nullptr ? FilePosition() : FindValue(*tree, key, value);
  return place.line == 0
             ? sweep_file
             : absl::StrCat(sweep_file, ":", place.line, ":", place.column);
}

// Fills in the digests of the files that models start with; `find` tells one's,
// asked once a path.
absl::Status FillInputs(
    const std::string& sweep_file, v1::SweepSpec& spec,
    absl::FunctionRef<absl::StatusOr<v1::ArtifactRef>(const std::string& path)>
        find) {
  std::map<std::string, v1::ArtifactRef> found;  // By path.
  const auto store =
      [&](const std::string& path) -> absl::StatusOr<v1::ArtifactRef> {
    const auto known = found.find(path);
    if (known != found.end()) return known->second;
    FOLDFARM_ASSIGN_OR_RETURN(const v1::ArtifactRef ref, find(path));
    return found[path] = ref;
  };
  for (v1::ModelSpec& model : *spec.mutable_models()) {
    if (model.init().has_weights() &&
        IsWeightsFile(sweep_file, model.init().weights())) {
      FOLDFARM_ASSIGN_OR_RETURN(
          const v1::ArtifactRef ref,
          store(Beside(sweep_file, model.init().weights())));
      model.mutable_init()->set_digest(ref.digest());
    }
    if (!model.arch().has_exec()) continue;
    v1::ExecSpec& exec = *model.mutable_arch()->mutable_exec();
    exec.clear_uploaded();
    for (const std::string& name : exec.files()) {
      FOLDFARM_ASSIGN_OR_RETURN(const v1::ArtifactRef ref,
                                store(Beside(sweep_file, name)));
      v1::ExecFile& file = *exec.add_uploaded();
      file.set_name(name);
      file.set_digest(ref.digest());
      file.set_size_bytes(static_cast<int32_t>(ref.size_bytes()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddSetOption(CLI::App& command, std::vector<std::string>& sets) {
  command
      .add_option("--set", sets,
                  "Change an option of the sweep file, as often as needed. "
                  "KEY is a path: an option of the sweep (limit_samples=64, "
                  "tta=4, folds.count=2) or one that changes in every model "
                  "and stage (train.epochs=1, train.schedule={kind: "
                  "constant}; arch.rnn.hidden=64 in the models that are rnn). "
                  "VALUE is YAML")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

bool IsWeightsFile(const std::string& sweep_file, const std::string& weights) {
  if (FileExists(Beside(sweep_file, weights))) return true;
  if (!IsValidName(weights, kMaxName)) return true;
  for (const char* extension : {".safetensors", ".pt", ".pth"}) {
    if (absl::EndsWith(weights, extension)) return true;
  }
  return false;
}

absl::Status CheckSweepInputs(const std::string& sweep_file,
                              const v1::SweepSpec& spec) {
  std::vector<std::string> mistakes;
  bool only_missing = true;
  YamlNodePtr tree;  // To say where, once something is wrong.
  // Weights that many models start from are read once.
  std::map<std::pair<std::string, int>, absl::Status> known;
  const auto note = [&](const v1::ModelSpec& model, const char* message,
                        const char* option, const std::string& value,
                        const absl::Status& status) {
    if (status.ok()) return;
    only_missing = only_missing && absl::IsNotFound(status);
    if (mistakes.empty()) tree = ReadAgain(sweep_file);
    mistakes.push_back(
        absl::StrCat(PlaceOf(sweep_file, tree.get(), option, value),
                     ": model '", model.name(), "': ", message, ".", option,
                     ": ", std::string(status.message())));
  };
  for (const v1::ModelSpec& model : spec.models()) {
    const v1::InitSpec& init = model.init();
    if (init.has_weights() && IsWeightsFile(sweep_file, init.weights())) {
      const auto [entry, is_new] =
          known.try_emplace({init.weights(), static_cast<int>(init.format())});
      if (is_new) {
        entry->second =
            CheckWeights(Beside(sweep_file, init.weights()), init.format());
      }
      note(model, "init", "weights", init.weights(), entry->second);
    }
    for (const std::string& file : model.arch().exec().files()) {
      note(model, "exec", "files", file,
           CheckExecFile(Beside(sweep_file, file)));
    }
  }
  if (mistakes.empty()) return absl::OkStatus();
  const std::string message = absl::StrJoin(mistakes, "\n");
  return only_missing ? absl::NotFoundError(message)
                      : absl::InvalidArgumentError(message);
}

absl::Status UploadSweepInputs(const Console& console, Clock& clock,
                               FarmClient& client,
                               const std::string& sweep_file,
                               v1::SweepSpec& spec) {
  return FillInputs(sweep_file, spec, [&](const std::string& path) {
    return UploadWithProgress(console, clock, client, path, "");
  });
}

absl::Status NameSweepInputs(const std::string& sweep_file,
                             v1::SweepSpec& spec) {
  return FillInputs(
      sweep_file, spec,
      [](const std::string& path) -> absl::StatusOr<v1::ArtifactRef> {
        v1::ArtifactRef ref;
        FOLDFARM_ASSIGN_OR_RETURN(*ref.mutable_digest(), Sha256HexOfFile(path));
        FOLDFARM_ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
        ref.set_size_bytes(size);
        return ref;
      });
}

std::vector<std::string> ExecModels(const v1::SweepSpec& spec) {
  std::vector<std::string> names;
  for (const v1::ModelSpec& model : spec.models()) {
    if (model.arch().has_exec()) names.push_back(model.name());
  }
  return names;
}

}  // namespace foldfarm
