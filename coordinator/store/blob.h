// Messages in columns.
#ifndef FOLDFARM_COORDINATOR_STORE_BLOB_H_
#define FOLDFARM_COORDINATOR_STORE_BLOB_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// What a message is parsed from was serialized by us: a failure means a
// damaged row. Errors: DATA_LOSS.
template <typename Message>
absl::Status ParseBlob(absl::string_view bytes, absl::string_view what,
                       Message& message) {
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("database: damaged ", what, " (", bytes.size(), " bytes)"));
}

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_BLOB_H_
