#include "worker/render/image_chance.h"

#include <cmath>

namespace foldfarm {
namespace {

constexpr double kTwoPi = 6.283185307179586;

// splitmix64: a counter, scrambled.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}

  // [0, 1), 24 bits, so that a float holds it.
  double Uniform() { return static_cast<double>(Next() >> 40) * 0x1p-24; }
  // Box & Muller, 1958; one of the pair.
  double Normal() {
    const double u = (static_cast<double>(Next() >> 11) + 1) * 0x1p-53;
    const double v = static_cast<double>(Next() >> 11) * 0x1p-53;
    return std::sqrt(-2 * std::log(u)) * std::cos(kTwoPi * v);
  }

 private:
  uint64_t Next() {
    const uint64_t bits = ScrambleBits(state_);
    state_ += 0x9E3779B97F4A7C15;
    return bits;
  }
  uint64_t state_;
};

}  // namespace

void FillImageChance(uint64_t seed, absl::Span<float> chance) {
  Numbers numbers(seed);
  for (int i = 0; i < kChanceMz; ++i) {
    chance[i] = static_cast<float>(numbers.Uniform());
  }
  for (int i = kChanceMz; i < kNumChances; ++i) {
    chance[i] = static_cast<float>(numbers.Normal());
  }
}

uint64_t SampleSeed(uint64_t seed, absl::string_view sample_id) {
  uint64_t mixed = ScrambleBits(seed);
  for (const char c : sample_id) {
    mixed = ScrambleBits(mixed ^ static_cast<unsigned char>(c));
  }
  return mixed;
}

uint64_t ScrambleBits(uint64_t z) {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace foldfarm
