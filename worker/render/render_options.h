// How a sample becomes an image: RepresentationSpec, AugmentSpec and
// SamAugmentSpec of sweep.proto as plain values, with the same names, units and
// defaults.
#ifndef FOLDFARM_WORKER_RENDER_RENDER_OPTIONS_H_
#define FOLDFARM_WORKER_RENDER_RENDER_OPTIONS_H_

namespace foldfarm {

// Temperature columns of every image; its rows are kNumMz m/z values.
inline constexpr int kNumColumns = 80;
// Temperature of the first column, degrees C.
inline constexpr double kFirstColumnCelsius = 30;
// The m/z of helium, the carrier gas.
inline constexpr int kHeliumMz = 4;

// SamAugmentSpec.
struct SamAugmentOptions {
  double prob = 0;
  double drift = 0.002;
  double steps = 0.0002;
  double tail = 0.001;
  double noise = 0.01;
  double temp_jitter = 6;
  double bin_width = 24;
  double gain = 0.5;
  double background = 0.5;
  double missing = 0.8;
};

struct RenderOptions {
  // RepresentationSpec.
  double temp_step = 12;
  double temp_query_range = 16;
  double prob_smooth = 12;
  double he_scale = 0.1;
  double min_clip = 1e-4;
  bool log_space = true;
  bool norm_to_one = false;
  bool normalize_m_separately = false;

  // AugmentSpec.
  double mz_var = 0.5;
  double mix_prob = 0;
  double sub_bg_prob = 0;
  double he_var = 0.001;
  double scale_var = 0.05;

  SamAugmentOptions sam_augment;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_RENDER_RENDER_OPTIONS_H_
