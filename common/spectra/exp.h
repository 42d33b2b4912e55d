// An exponential that is the same on every machine.
//
// The C library's differs in the last place with the processor; this one uses
// IEEE additions and multiplications in a fixed order, and vectorizes.
#ifndef FOLDFARM_COMMON_SPECTRA_EXP_H_
#define FOLDFARM_COMMON_SPECTRA_EXP_H_

#include <bit>
#include <cstdint>

namespace foldfarm {

// e^x to about one unit in the last place. REQUIRES: |x| <= 700.
inline double ExactExp(double x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: rounds to int.
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2Hi = 6.93147180369123816490e-01;
  constexpr double kLn2Lo = 1.90821492927058770002e-10;
  const double shifted = x * kLog2E + kShift;
  const double k = shifted - kShift;
  const double r = (x - k * kLn2Hi) - k * kLn2Lo;
  // Taylor; |r| <= ln(2) / 2.
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) +
                               (std::bit_cast<uint64_t>(shifted) << 52));
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_EXP_H_
