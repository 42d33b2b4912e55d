// CRC-32C (Castagnoli): the checksum of TensorFlow's record files.
//
// Our own because Debian 12 packages no library for it.
#ifndef FOLDFARM_COMMON_BASE_CRC32C_H_
#define FOLDFARM_COMMON_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace foldfarm {

// Of the whole text; 0 for none. Source: RFC 3720, appendix B.4 (polynomial
// 0x1EDC6F41, reflected). Thread-safe.
uint32_t Crc32c(absl::string_view data);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_CRC32C_H_
