#include "common/sweep/expand.h"

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"
#include "common/sweep/merge.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxSweepName = 64;
constexpr size_t kMaxModelName = 100;

// The place of the value at the end of `path`, or of the last one on the way
// that the file has.
FilePosition PositionOf(const YamlNode& node,
                        std::initializer_list<absl::string_view> path) {
  const YamlNode* at = &node;
  for (absl::string_view key : path) {
    const YamlNode* next = at->Find(key);
    if (next == nullptr) break;
    at = next;
  }
  return at->position;
}

void CheckName(absl::string_view name, size_t max_size, FilePosition position,
               absl::string_view what, SweepErrors& errors) {
  if (IsValidName(name, max_size)) return;
  errors.Add(position,
             absl::StrCat(what, " is ", Quoted(name), ", expected 1 to ",
                          max_size, " of A-Z a-z 0-9 . _ -, the first no dot"));
}

void CheckFolds(const YamlNode& root, const v1::FoldsSpec& folds,
                SweepErrors& errors) {
  const YamlNode* node = root.Find("folds");
  if (node == nullptr) return;
  int ways = 0;
  for (absl::string_view key : {"count", "file", "holdout"}) {
    ways += node->Find(key) != nullptr;
  }
  if (ways > 1) {
    errors.Add(node->position,
               "folds has more than one of count, file and holdout, expected "
               "one of them");
  } else if (folds.has_file() || !folds.holdout().empty()) {
    for (const char* key : {"stratify", "seed"}) {
      if (node->Find(key) == nullptr) continue;
      errors.Add(PositionOf(*node, {key}),
                 absl::StrCat(key, " has no effect without count; drop it"));
    }
  }
  if (node->Find("holdout") != nullptr && folds.holdout_size() != 1) {
    errors.Add(PositionOf(*node, {"holdout"}),
               absl::StrCat("holdout has ", folds.holdout_size(),
                            " columns, expected one, such as {instrument_type: "
                            "sam_testbed}"));
  }
  if (folds.has_file() && folds.file().empty()) {
    errors.Add(PositionOf(*node, {"file"}), "file is \"\", expected a name");
  }
}

void CheckArch(const v1::ModelSpec& model, const YamlNode& node,
               SweepErrors& errors) {
  const v1::ArchSpec& arch = model.arch();
  if (arch.has_vit1d() && arch.vit1d().dim() % arch.vit1d().heads() != 0) {
    errors.Add(
        PositionOf(node, {"arch", "vit1d", "dim"}),
        absl::StrCat("dim is ", arch.vit1d().dim(),
                     ", expected a multiple of heads, ", arch.vit1d().heads()));
  }
  if (arch.has_conv1d()) {
    for (const auto& [key, columns] :
         {std::pair("kernel", arch.conv1d().kernel()),
          std::pair("stem_kernel", arch.conv1d().stem_kernel())}) {
      if (columns % 2 == 1) continue;
      errors.Add(
          PositionOf(node, {"arch", "conv1d", key}),
          absl::StrCat(key, " is ", columns, ", expected an odd number"));
    }
  }
  if (arch.has_resnet() &&
      arch.resnet().layers_size() != arch.resnet().widths_size()) {
    errors.Add(PositionOf(node, {"arch", "resnet", "layers"}),
               absl::StrCat("layers has ", arch.resnet().layers_size(),
                            " stages and widths ", arch.resnet().widths_size(),
                            ", expected as many"));
  }
  if (arch.has_resnet() && arch.resnet().stem_stride_size() != 2) {
    errors.Add(
        PositionOf(node, {"arch", "resnet", "stem_stride"}),
        absl::StrCat("stem_stride has ", arch.resnet().stem_stride_size(),
                     " numbers, expected two: over m/z and over "
                     "temperature"));
  }
}

// Options of a complete model that must fit each other. `read_whole`: no
// mistake was met before, so what is absent is not just unread.
void CheckModel(const v1::ModelSpec& model, const YamlNode& node,
                bool read_whole, SweepErrors& errors) {
  if (model.arch().kind_case() == v1::ArchSpec::KIND_NOT_SET && read_whole) {
    errors.Add(PositionOf(node, {"arch"}),
               absl::StrCat("model '", model.name(),
                            "' has no arch; name one, such as {rnn: {}}"));
  }
  CheckArch(model, node, errors);
  const v1::TrainSpec& train = model.train();
  if (train.schedule().kind() == v1::SCHEDULE_KIND_COSINE &&
      train.schedule().warmup() >= train.epochs()) {
    errors.Add(
        PositionOf(node, {"train", "schedule", "warmup"}),
        absl::StrCat("warmup is ", train.schedule().warmup(),
                     " epochs, expected less than epochs, ", train.epochs()));
  }
  const v1::RepresentationSpec& image = model.representation();
  if (image.norm_to_one() && !image.log_space()) {
    errors.Add(PositionOf(node, {"representation", "norm_to_one"}),
               "norm_to_one is true, expected log_space to be true too");
  }
}

// Resolves `like` and layers the options of every model.
class ModelExpander {
 public:
  ModelExpander(const v1::SweepSpec& spec, SweepErrors& errors)
      : spec_(spec), read_whole_(errors.empty()), errors_(errors) {
    for (int i = 0; i < spec.models_size(); ++i) {
      first_by_name_.emplace(spec.models(i).name(), i);
    }
  }

  // Returns model `index` complete, or as good as it gets. To be called in the
  // models' order.
  v1::ModelSpec Expand(int index, const YamlNode& node) {
    const v1::ModelSpec& own = spec_.models(index);
    CheckOwnName(index, node);
    v1::ModelSpec layered;
    bool resolved = true;
    if (own.has_like()) {
      const int base = FindBase(index, node);
      resolved = base >= 0 && resolved_[static_cast<size_t>(base)];
      if (base >= 0) layered = layered_[static_cast<size_t>(base)];
    }
    MergeOver(own, layered);
    layered.clear_like();
    layered_.push_back(layered);

    v1::ModelSpec complete = spec_.defaults();
    MergeOver(layered, complete);
    complete.set_name(own.name());
    filler_.Fill(complete);
    complete.clear_like();
    const size_t errors_before = errors_.size();
    if (resolved) CheckModel(complete, node, read_whole_, errors_);
    // Whoever is like a model at fault would repeat its mistakes.
    resolved_.push_back(resolved && errors_.size() == errors_before);
    return complete;
  }

 private:
  void CheckOwnName(int index, const YamlNode& node) {
    const std::string& name = spec_.models(index).name();
    const FilePosition position = PositionOf(node, {"name"});
    if (node.Find("name") == nullptr) {
      errors_.Add(node.position,
                  absl::StrCat("missing key 'name' in models[", index, "]"));
      return;
    }
    CheckName(name, kMaxModelName, position, "name", errors_);
    if (first_by_name_.at(name) != index && !name.empty()) {
      errors_.Add(position, absl::StrCat("duplicate model name '", name,
                                         "', also models[",
                                         first_by_name_.at(name), "]"));
    }
  }

  // Index of the model that model `index` is like, or -1.
  int FindBase(int index, const YamlNode& node) {
    const std::string& like = spec_.models(index).like();
    const FilePosition position = PositionOf(node, {"like"});
    const auto found = first_by_name_.find(like);
    if (found == first_by_name_.end()) {
      std::vector<std::string> names;
      for (int i = 0; i < index; ++i) names.push_back(spec_.models(i).name());
      errors_.Add(position, absl::StrCat("like: no model is named '", like, "'",
                                         DidYouMean(like, names)));
      return -1;
    }
    if (found->second < index) return found->second;
    errors_.Add(position,
                found->second == index
                    ? absl::StrCat("model '", like, "' is like itself")
                    : absl::StrCat("like: '", like,
                                   "' comes later, expected an earlier model"));
    return -1;
  }

  const v1::SweepSpec& spec_;
  const bool read_whole_;
  SweepErrors& errors_;
  DefaultFiller filler_;
  std::map<std::string, int> first_by_name_;
  // By index: a model's own options over those of whom it is like.
  std::vector<v1::ModelSpec> layered_;
  // By index: nothing that it builds on was found at fault.
  std::vector<bool> resolved_;
};

void ExpandModels(const YamlNode& root, v1::SweepSpec& spec,
                  SweepErrors& errors) {
  const YamlNode* models = root.Find("models");
  if (models == nullptr ||
      static_cast<int>(models->items.size()) != spec.models_size()) {
    return;
  }
  ModelExpander expander(spec, errors);
  google::protobuf::RepeatedPtrField<v1::ModelSpec> complete;
  for (int i = 0; i < spec.models_size(); ++i) {
    *complete.Add() =
        expander.Expand(i, *models->items[static_cast<size_t>(i)]);
  }
  spec.mutable_models()->Swap(&complete);
}

}  // namespace

void ExpandSweep(const YamlNode& root, v1::SweepSpec& spec,
                 SweepErrors& errors) {
  if (root.Find("name") != nullptr) {
    CheckName(spec.name(), kMaxSweepName, PositionOf(root, {"name"}), "name",
              errors);
  }
  if (const YamlNode* defaults = root.Find("defaults"); defaults != nullptr) {
    for (const char* key : {"name", "like"}) {
      if (defaults->Find(key) == nullptr) continue;
      errors.Add(
          PositionOf(*defaults, {key}),
          absl::StrCat("defaults cannot have a '", key, "'; only a model can"));
    }
  }
  CheckFolds(root, spec.folds(), errors);
  ExpandModels(root, spec, errors);
  spec.clear_defaults();
  const v1::FoldsSpec folds = spec.folds();
  DefaultFiller().Fill(spec);
  spec.clear_defaults();
  // Defaults of a cut by count say nothing about the other two ways.
  if (folds.has_file() || !folds.holdout().empty()) {
    *spec.mutable_folds() = folds;
  }
}

}  // namespace foldfarm
