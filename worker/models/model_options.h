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

struct SeresnextOptions {
  std::vector<int> layers = {3, 4, 6, 3};
  std::vector<int> planes = {64, 128, 256, 512};
  int cardinality = 32;
  int base_width = 4;
  double squeeze = 0.0625;
  ClassifierForm form = ClassifierForm::kSimpleCls3;
  double head_dropout = 0;
  int stem_width = 64;
};

struct DpnOptions {
  int stem_width = 10;
  int bottleneck = 128;
  int groups = 32;
  std::vector<int> layers = {3, 4, 12, 3};
  int residual = 64;
  std::vector<int> increments = {16, 32, 32, 64};
  ClassifierForm form = ClassifierForm::kSimpleCls;
  double head_dropout = 0;
};

struct EfficientnetOptions {
  double width = 1.1;
  double depth = 1.2;
  ClassifierForm form = ClassifierForm::kSimpleCls;
  double head_dropout = 0;
  double drop_path = 0;
};

struct VitOptions {
  int patch = 8;
  int levels = 256;
  int dim = 512;
  int depth = 3;
  int heads = 16;
  double mlp_ratio = 4;
  double dropout = 0;
};

// How an image shows temperature and abundance; it follows from the model's
// representation.
struct ImageScale {
  double temp_step = 12;  // Degrees C a column.
  bool log_space = true;
  double decade = 1;  // What a factor of ten is worth in log space.
};

// Features of an image: see worker/models/band_features.h.
struct BandFeaturesOptions {
  std::vector<double> bands = {96, 240};
  bool maximum = true;
  bool area = true;
  bool position = false;
  bool width = false;
  ImageScale scale;  // Not an option.
};

enum class TabnetMask { kSparsemax, kEntmax };

struct TabnetOptions {
  BandFeaturesOptions features;
  int decision = 32;
  int attention = 32;
  int steps = 3;
  double relaxation = 1.3;
  int shared_layers = 2;
  int step_layers = 2;
  TabnetMask mask = TabnetMask::kSparsemax;
  double sparsity = 0.001;
  int virtual_batch = 32;
  double momentum = 0.02;
};

enum class TreeGrowth { kDepthwise, kLossguide };
enum class TreeBooster { kGbtree, kDart };
enum class TreeTargets { kOnePerLabel, kMultiOutput };

struct XgboostOptions {
  BandFeaturesOptions features;
  int rounds = 300;
  double learning_rate = 0.1;
  TreeGrowth growth = TreeGrowth::kDepthwise;
  int max_depth = 3;
  int max_leaves = 0;
  TreeBooster booster = TreeBooster::kGbtree;
  double rate_drop = 0.1;
  double skip_drop = 0.5;
  double subsample = 0.8;
  double colsample = 0.3;
  double min_child_weight = 1;
  double lambda = 1;
  double alpha = 0;
  TreeTargets targets = TreeTargets::kOnePerLabel;
  int draws = 4;
  int epoch_rounds = 10;
  int bins = 64;
};

// No network: the prevalence of each label.
struct NoneOptions {};

using ArchOptions = std::variant<NoneOptions, ResnetOptions, RnnOptions,
                                 Vit1dOptions, Conv1dOptions, SeresnextOptions,
                                 DpnOptions, EfficientnetOptions, VitOptions,
                                 TabnetOptions, XgboostOptions>;

enum class WeightsFormat { kAuto, kSafetensors, kPytorch };

// InitSpec; no weights: a random start.
struct InitOptions {
  std::string weights;
  WeightsFormat format = WeightsFormat::kAuto;
  std::vector<std::string> exclude;
  double min_loaded = 0.5;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_MODEL_OPTIONS_H_
