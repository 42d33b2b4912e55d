#include "common/sweep/expand.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"
#include "common/sweep/check_model.h"
#include "common/sweep/check_rules.h"
#include "common/sweep/merge.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxModelName = 100;

// The place of the value at the end of `path`, or of the last one on the way
// that the file has.
FilePosition PositionOf(const YamlNode& node, YamlPath path) {
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

// Resolves `like` and layers the options of every model.
class ModelExpander {
 public:
  ModelExpander(const YamlNode& root, const v1::SweepSpec& spec,
                SetOptions& set, SweepErrors& errors)
      : defaults_(root.Find("defaults")),
        spec_(spec),
        set_(set),
        read_whole_(errors.empty()),
        errors_(errors) {
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

    const v1::ModelSpec written = Complete(layered, own.name(), nullptr);
    v1::ModelSpec complete =
        set_.models.empty() ? written : Complete(layered, own.name(), &set_);
    const size_t errors_before = errors_.size();
    if (resolved) {
      CheckModel({complete, written, node, defaults_, read_whole_}, errors_);
    }
    // Whoever is like a model at fault would repeat its mistakes.
    resolved_.push_back(resolved && errors_.size() == errors_before);
    return complete;
  }

 private:
  // `defaults`, then `layered`, then `set`, then the rules' defaults; each
  // stage's `train` over the model's.
  v1::ModelSpec Complete(const v1::ModelSpec& layered, const std::string& name,
                         SetOptions* set) {
    v1::ModelSpec model = spec_.defaults();
    MergeOver(layered, model);
    if (set != nullptr) set->ApplyTo(model);
    model.set_name(name);
    model.clear_like();
    for (v1::StageSpec& stage : *model.mutable_stages()) {
      v1::TrainSpec train = model.train();
      MergeOver(stage.train(), train);
      if (set != nullptr) set->ApplyTo(train);
      filler_.Fill(train);
      *stage.mutable_train() = std::move(train);
    }
    filler_.Fill(model);
    return model;
  }

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

  const YamlNode* const defaults_;  // Null when the file has none.
  const v1::SweepSpec& spec_;
  SetOptions& set_;
  const bool read_whole_;
  SweepErrors& errors_;
  DefaultFiller filler_;
  std::map<std::string, int> first_by_name_;
  // By index: a model's own options over those of whom it is like.
  std::vector<v1::ModelSpec> layered_;
  // By index: nothing that it builds on was found at fault.
  std::vector<bool> resolved_;
};

void ExpandModels(const YamlNode& root, SetOptions& set, v1::SweepSpec& spec,
                  SweepErrors& errors) {
  const YamlNode* models = root.Find("models");
  if (models == nullptr ||
      static_cast<int>(models->items.size()) != spec.models_size()) {
    return;
  }
  ModelExpander expander(root, spec, set, errors);
  google::protobuf::RepeatedPtrField<v1::ModelSpec> complete;
  for (int i = 0; i < spec.models_size(); ++i) {
    *complete.Add() =
        expander.Expand(i, *models->items[static_cast<size_t>(i)]);
  }
  spec.mutable_models()->Swap(&complete);
}

}  // namespace

void ExpandSweep(const YamlNode& root, SetOptions& set, v1::SweepSpec& spec,
                 SweepErrors& errors) {
  const bool read_whole = errors.empty();
  if (root.Find("name") != nullptr) {
    CheckName(spec.name(), kMaxSweepName, PositionOf(root, {"name"}), "name",
              errors);
    if (LooksLikeSweepId(spec.name())) {
      errors.Add(
          PositionOf(root, {"name"}),
          absl::StrCat("name is ", Quoted(spec.name()),
                       ", which is how the farm's own ids look; expected "
                       "another one"));
    }
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
  ExpandModels(root, set, spec, errors);
  spec.clear_defaults();
  const v1::FoldsSpec folds = spec.folds();
  DefaultFiller().Fill(spec);
  spec.clear_defaults();
  // Defaults of a cut by count say nothing about the other two ways.
  if (folds.has_file() || !folds.holdout().empty()) {
    *spec.mutable_folds() = folds;
  } else if (spec.limit_samples() != 0 &&
             spec.limit_samples() < 2 * spec.folds().count()) {
    errors.Add(PositionOf(root, {"limit_samples"}),
               absl::StrCat("limit_samples is ", spec.limit_samples(),
                            ", expected 0 or at least two samples a fold, ",
                            2 * spec.folds().count()));
  }
  CheckScreenAndStop(root, spec, read_whole, errors);
}

}  // namespace foldfarm
