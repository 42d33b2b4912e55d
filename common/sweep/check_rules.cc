#include "common/sweep/check_rules.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/sweep/check_model.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

void CheckBy(const YamlNode* by, const v1::ScreenSpec& screen,
             FilePosition position, SweepErrors& errors) {
  static const auto& known =
      *new std::vector<std::string>{"log_loss", "correlation"};
  std::set<std::string> seen;
  for (int i = 0; i < screen.by_size(); ++i) {
    const std::string& word = screen.by(i);
    const size_t at = static_cast<size_t>(i);
    const FilePosition place = by != nullptr && at < by->items.size()
                                   ? by->items[at]->position
                                   : position;
    if (std::find(known.begin(), known.end(), word) == known.end()) {
      errors.Add(place, absl::StrCat("by has ", Quoted(word),
                                     ", expected log_loss or correlation",
                                     DidYouMean(word, known)));
    } else if (!seen.insert(word).second) {
      errors.Add(place, absl::StrCat("by has ", Quoted(word),
                                     " twice, expected each once"));
    }
  }
}

// Says that `option` of the sweep has no effect, when the file names it without
// the part that switches it on.
void CheckIsOn(const YamlNode& root, absl::string_view option,
               absl::string_view part, absl::string_view advice,
               SweepErrors& errors) {
  const YamlNode* own = root.Find(option);
  if (own == nullptr || own->entries.empty() || own->Find(part) != nullptr) {
    return;
  }
  errors.Add(own->position, absl::StrCat(option, " has no effect while ", part,
                                         " is 0; ", advice));
}

void CheckScreen(const YamlNode& root, const OptionPlaces& places,
                 const v1::SweepSpec& spec, bool read_whole,
                 SweepErrors& errors) {
  const v1::ScreenSpec& screen = spec.screen();
  CheckBy(root.FindPath({"screen", "by"}), screen, places.Of({"screen", "by"}),
          errors);
  if (screen.keep() == 0) {
    if (read_whole) {
      CheckIsOn(root, "screen", "keep", "say how many models go on", errors);
    }
    return;
  }
  const int folds = FoldCount(spec.folds());
  if (folds == 1) {
    errors.Add(places.Of({"screen"}),
               "screen has no effect with a single fold; drop it");
  } else if (folds > 1 && screen.fold() >= folds) {
    errors.Add(places.Of({"screen", "fold"}),
               absl::StrCat("fold is ", screen.fold(), ", expected 0 to ",
                            folds - 1, ", one of the sweep's folds"));
  }
  if (screen.keep() >= spec.models_size()) {
    errors.Add(
        places.Of({"screen", "keep"}),
        absl::StrCat("keep is ", screen.keep(),
                     ", expected less than the sweep's ", spec.models_size(),
                     " models; a trial that all pass has no effect"));
  }
}

void CheckStopWhen(const YamlNode& root, const OptionPlaces& places,
                   const v1::SweepSpec& spec, bool read_whole,
                   SweepErrors& errors) {
  const v1::StopWhenSpec& stop = spec.stop_when();
  if (stop.ensemble_gain_below() == 0) {
    if (read_whole) {
      CheckIsOn(root, "stop_when", "ensemble_gain_below",
                "give it, such as 0.0002", errors);
    }
    return;
  }
  const int kept = spec.screen().keep();
  const bool screened = kept > 0 && kept < spec.models_size();
  const int models = screened ? kept : spec.models_size();
  // The first model is where gains are counted from, and one must be left.
  if (models >= stop.for_models() + 2) return;
  errors.Add(places.Of({"stop_when", "for_models"}),
             absl::StrCat("for_models is ", stop.for_models(),
                          ", which has no effect unless at least ",
                          stop.for_models() + 2, " models are ",
                          screened ? "kept by screen" : "in the sweep",
                          ", got ", models));
}

}  // namespace

void CheckScreenAndStop(const YamlNode& root, const v1::SweepSpec& spec,
                        bool read_whole, SweepErrors& errors) {
  if (spec.models().empty()) return;  // Said already.
  const OptionPlaces places(&root, {}, root.position);
  CheckScreen(root, places, spec, read_whole, errors);
  CheckStopWhen(root, places, spec, read_whole, errors);
}

}  // namespace foldfarm
