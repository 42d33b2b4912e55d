// The networks' options: ArchSpec of sweep.proto as plain values, with the same
// names and defaults.
#ifndef FOLDFARM_WORKER_MODELS_MODEL_OPTIONS_H_
#define FOLDFARM_WORKER_MODELS_MODEL_OPTIONS_H_

#include <string>
#include <variant>
#include <vector>

namespace foldfarm {

enum class ClassifierForm { kSimpleCls, kSimpleCls3 };

struct ResnetOptions {
  std::vector<int> layers = {3, 4, 6, 3};
  std::vector<int> widths = {64, 128, 256, 512};
  ClassifierForm form = ClassifierForm::kSimpleCls;
  double head_dropout = 0;
  std::vector<int> stem_stride = {2, 2};  // Over m/z, over temperature.
};

enum class RnnCell { kGru, kLstm };

struct RnnOptions {
  RnnCell cell = RnnCell::kGru;
  int hidden = 1024;
  int layers = 3;
  double dropout = 0.2;
  double head_dropout = 0.5;
};

struct Vit1dOptions {
  int dim = 1024;
  int depth = 3;
  int heads = 32;
  double mlp_ratio = 4;
  double dropout = 0.2;
};

struct Conv1dOptions {
  int stem = 128;
  int stem_kernel = 5;
  std::vector<int> widths = {128, 128, 128};
  int blocks = 1;
  int kernel = 3;
  double dropout = 0;
  double head_dropout = 0.3;
};

// No network: the prevalence of each label.
struct NoneOptions {};

using ArchOptions = std::variant<NoneOptions, ResnetOptions, RnnOptions,
                                 Vit1dOptions, Conv1dOptions>;

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_MODEL_OPTIONS_H_
