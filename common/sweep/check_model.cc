#include "common/sweep/check_model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace foldfarm {
namespace {

using Arch = v1::ArchSpec;

// A name of a list stands in it once and is not empty.
void CheckNames(const google::protobuf::RepeatedPtrField<std::string>& names,
                absl::string_view what, FilePosition position,
                SweepErrors& errors) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty()) {
      errors.Add(position, absl::StrCat(what, " has \"\", expected names"));
    } else if (!seen.insert(name).second) {
      errors.Add(position, absl::StrCat(what, " has ", Quoted(name),
                                        " twice, expected each once"));
    }
  }
}

void CheckImage(const ModelToCheck& model, const OptionPlaces& places,
                SweepErrors& errors) {
  const v1::RepresentationSpec& image = model.complete.representation();
  if (image.norm_to_one() && !image.log_space()) {
    errors.Add(places.Of({"representation", "norm_to_one"}),
               "norm_to_one is true, expected log_space to be true too");
  }
  // Strengths of what never happens.
  const YamlNode* own = places.HasOwn({"sam_augment"})
                            ? places.own()->Find("sam_augment")
                            : nullptr;
  if (own != nullptr && !own->entries.empty() &&
      model.written.sam_augment().prob() == 0 && own->Find("prob") == nullptr) {
    errors.Add(own->position,
               "sam_augment has no effect while prob is 0; give a prob, such "
               "as 0.25");
  }
}

void CheckInit(const ModelToCheck& model, const OptionPlaces& places,
               SweepErrors& errors) {
  const v1::InitSpec& init = model.complete.init();
  const Arch::KindCase kind = model.complete.arch().kind_case();
  if (init.has_weights() && init.weights().empty()) {
    errors.Add(places.Of({"init", "weights"}),
               "weights is \"\", expected a registered name or a file");
  } else if (init.has_weights() &&
             (kind == Arch::kNone || kind == Arch::kXgboost)) {
    errors.Add(places.Of({"init", "weights"}),
               "weights: this architecture has none to start from; drop init");
  } else if (!init.has_weights()) {
    for (const char* key : {"format", "exclude", "min_loaded"}) {
      if (!places.HasOwn({"init", key})) continue;
      errors.Add(places.Of({"init", key}),
                 absl::StrCat(key,
                              " has no effect without init.weights; name "
                              "weights or drop it"));
    }
  }
  CheckNames(init.exclude(), "exclude", places.Of({"init", "exclude"}), errors);
}

// `labels`, and the labels that positive_weights names.
void CheckLabels(const ModelToCheck& model, const OptionPlaces& places,
                 SweepErrors& errors) {
  const auto& labels = model.complete.labels();
  CheckNames(labels, "labels", places.Of({"labels"}), errors);
  if (labels.empty()) return;
  std::vector<std::string> names(labels.begin(), labels.end());
  for (const auto& [label, weight] :
       model.complete.train().positive_weights()) {
    if (std::find(names.begin(), names.end(), label) != names.end()) continue;
    errors.Add(
        places.Of({"train", "positive_weights"}),
        absl::StrCat("positive_weights has ", Quoted(label),
                     ", expected one of the model's labels, ",
                     absl::StrJoin(names, ", "), DidYouMean(label, names)));
  }
}

void CheckStages(const ModelToCheck& model, const OptionPlaces& places,
                 SweepErrors& errors) {
  const v1::ModelSpec& complete = model.complete;
  const Arch::KindCase kind = complete.arch().kind_case();
  if (kind == Arch::kNone || kind == Arch::kXgboost) {
    errors.Add(places.Of({"stages"}),
               "stages: this architecture is trained in one go; drop them");
    return;
  }
  const YamlNode* own = model.node.Find("stages");
  const bool is_own = own != nullptr && static_cast<int>(own->items.size()) ==
                                            complete.stages_size();
  for (int i = 0; i < complete.stages_size(); ++i) {
    const YamlNode* stage =
        is_own ? own->items[static_cast<size_t>(i)].get() : nullptr;
    const OptionPlaces stage_places(
        stage, {&model.node, model.defaults},
        stage != nullptr ? stage->position : places.Of({"stages"}));
    for (const auto& [column, value] : complete.stages(i).samples()) {
      if (!column.empty() && !value.empty()) continue;
      errors.Add(stage_places.Of({"samples"}),
                 "samples has \"\", expected a column and its value, such as "
                 "{instrument_type: commercial}");
    }
    const bool written = i < model.written.stages_size();
    CheckTrain(
        complete.stages(i).train(),
        written ? model.written.stages(i).train() : complete.stages(i).train(),
        stage_places, errors);
  }
}

}  // namespace

FilePosition OptionPlaces::Of(YamlPath path) const {
  std::vector<const YamlNode*> nodes = {own_};
  nodes.insert(nodes.end(), others_.begin(), others_.end());
  for (const YamlNode* node : nodes) {
    const YamlNode* found = node == nullptr ? nullptr : node->FindPath(path);
    if (found != nullptr) return found->position;
  }
  // The nearest thing around it.
  FilePosition nearest = fallback_;
  const YamlNode* at = own_;
  for (const absl::string_view key : path) {
    at = at == nullptr ? nullptr : at->Find(key);
    if (at != nullptr) nearest = at->position;
  }
  return nearest;
}

void CheckModel(const ModelToCheck& model, SweepErrors& errors) {
  const OptionPlaces places(&model.node, {model.defaults}, model.node.position);
  if (model.complete.arch().kind_case() == Arch::KIND_NOT_SET &&
      model.read_whole) {
    errors.Add(places.Of({"arch"}),
               absl::StrCat("model '", model.complete.name(),
                            "' has no arch; name one, such as {rnn: {}}"));
  }
  CheckArch(model, places, errors);
  CheckImage(model, places, errors);
  CheckInit(model, places, errors);
  CheckLabels(model, places, errors);
  if (model.complete.stages().empty()) {
    CheckTrain(model.complete.train(), model.written.train(), places, errors);
  } else {
    CheckStages(model, places, errors);
  }
}

}  // namespace foldfarm
