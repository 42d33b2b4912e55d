#include "worker/trainer/torch_errors.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace foldfarm {
namespace {

// Errors that have no type of their own: those of the CPU's allocator, and of
// CUDA and its libraries, which allocate past Torch's.
constexpr absl::string_view kOutOfMemory[] = {"can't allocate memory",
                                              "not enough memory",
                                              "out of memory",
                                              "CUBLAS_STATUS_ALLOC_FAILED",
                                              "CUDNN_STATUS_ALLOC_FAILED",
                                              "CUSPARSE_STATUS_ALLOC_FAILED",
                                              "CUFFT_ALLOC_FAILED"};

bool IsOutOfMemory(absl::string_view what) {
  return absl::c_any_of(kOutOfMemory, [what](absl::string_view text) {
    return absl::StrContains(what, text);
  });
}

}  // namespace

absl::Status CatchTorchErrors(absl::FunctionRef<absl::Status()> work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const absl::string_view what = error.what_without_backtrace();
    return IsOutOfMemory(what) ? absl::ResourceExhaustedError(what)
                               : absl::InternalError(what);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace foldfarm
