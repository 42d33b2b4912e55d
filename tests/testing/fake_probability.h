// What the fake trainer predicts, for tests that check what becomes of it.
#ifndef FOLDFARM_TESTS_TESTING_FAKE_PROBABILITY_H_
#define FOLDFARM_TESTS_TESTING_FAKE_PROBABILITY_H_

#include <cstdint>
#include <string>

namespace foldfarm {

// A number of [0, 1] in steps of 1/64 that depends on each argument: `network`
// is the job that trained it, e.g. "s1/slow.a/2". The steps make sums exact, in
// whatever order they run.
inline float FakeProbability(const std::string& network,
                             const std::string& sample,
                             const std::string& label, int draw) {
  // FNV-1a.
  uint32_t hash = 2166136261u;
  const std::string text =
      network + "\n" + sample + "\n" + label + "\n" + std::to_string(draw);
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  }
  return static_cast<float>(hash % 65) / 64.0f;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_FAKE_PROBABILITY_H_
