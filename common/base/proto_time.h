// Times of Protobuf messages.
//
// Header only: who includes it links Protobuf, this folder does not.
#ifndef FOLDFARM_COMMON_BASE_PROTO_TIME_H_
#define FOLDFARM_COMMON_BASE_PROTO_TIME_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace foldfarm {

// To whole microseconds, as the store keeps them.
inline void SetTime(absl::Time from, google::protobuf::Timestamp* to) {
  const int64_t micros = absl::ToUnixMicros(from);
  to->set_seconds(micros / 1000000);
  to->set_nanos(static_cast<int>(micros % 1000000) * 1000);
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_PROTO_TIME_H_
