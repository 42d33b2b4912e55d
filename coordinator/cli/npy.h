// Arrays as NumPy reads them: the .npy format, version 1.0.
//
// Layout: "\x93NUMPY", version 1 0, the header's size (16 bits), the header (a
// Python dict, padded so that the data begin at a multiple of 64 bytes), the
// data, row-major and little-endian. Source: numpy.lib.format.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_NPY_H_
#define FOLDFARM_COORDINATOR_CLI_NPY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace foldfarm {

// A file's bytes. REQUIRES: as many values as `shape` says.
std::string NpyF64(const std::vector<int64_t>& shape,
                   absl::Span<const double> values);
std::string NpyI32(const std::vector<int64_t>& shape,
                   absl::Span<const int32_t> values);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_NPY_H_
