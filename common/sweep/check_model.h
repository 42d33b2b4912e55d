// Refuses options of one model that are legal by themselves and do not fit each
// other.
//
// Two kinds of mistakes: values that nothing can be made of (heads that do not
// divide a width), judged on the model as it will be trained; and options that
// would have no effect (focal_gamma without loss: focal), judged on what the
// model's own lines of the file say, so that a model may override what it is
// like.
#ifndef FOLDFARM_COMMON_SWEEP_CHECK_MODEL_H_
#define FOLDFARM_COMMON_SWEEP_CHECK_MODEL_H_

#include <string>
#include <vector>

#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// All borrowed.
struct ModelToCheck {
  // As it will be trained.
  const v1::ModelSpec& complete;
  // The same without --set.
  const v1::ModelSpec& written;
  const YamlNode& node;
  // The file's `defaults`, or null.
  const YamlNode* defaults = nullptr;
  // No mistake was met before, so what is absent is not just unread.
  bool read_whole = true;
};

// Where options of a part of a model may stand in the file; the first that has
// an option has it in force.
class OptionPlaces {
 public:
  // `own`: the lines of the part itself, or null; `others` may hold nulls.
  OptionPlaces(const YamlNode* own, std::vector<const YamlNode*> others,
               FilePosition fallback)
      : own_(own), others_(std::move(others)), fallback_(fallback) {}

  FilePosition Of(YamlPath path) const;
  // Whether the part's own lines name the option.
  bool HasOwn(YamlPath path) const {
    return own_ != nullptr && own_->FindPath(path) != nullptr;
  }
  const YamlNode* own() const { return own_; }

 private:
  const YamlNode* const own_;
  const std::vector<const YamlNode*> others_;
  const FilePosition fallback_;
};

void CheckModel(const ModelToCheck& model, SweepErrors& errors);

// Parts of CheckModel.
void CheckArch(const ModelToCheck& model, const OptionPlaces& places,
               SweepErrors& errors);
// `places`: of what holds `train`, the model or a stage.
void CheckTrain(const v1::TrainSpec& complete, const v1::TrainSpec& written,
                const OptionPlaces& places, SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_CHECK_MODEL_H_
