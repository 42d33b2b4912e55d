#include "worker/training/out_of_memory.h"

#include <c10/util/Exception.h>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace foldfarm {
namespace {

constexpr absl::string_view kOutOfMemory[] = {"can't allocate memory",
                                              "not enough memory",
                                              "out of memory",
                                              "CUBLAS_STATUS_ALLOC_FAILED",
                                              "CUDNN_STATUS_ALLOC_FAILED",
                                              "CUSPARSE_STATUS_ALLOC_FAILED",
                                              "CUFFT_ALLOC_FAILED"};

}  // namespace

bool IsOutOfMemory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) {
    return true;
  }
  const absl::string_view what = error.what_without_backtrace();
  return absl::c_any_of(kOutOfMemory, [what](absl::string_view text) {
    return absl::StrContains(what, text);
  });
}

}  // namespace foldfarm
