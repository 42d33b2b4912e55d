#include "worker/trainer/torch_errors.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

absl::Status CatchTorchErrors(absl::FunctionRef<absl::Status()> work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    // The CPU allocator has no type of its own for this.
    const absl::string_view what = error.what_without_backtrace();
    return absl::StrContains(what, "can't allocate memory") ||
                   absl::StrContains(what, "not enough memory")
               ? absl::ResourceExhaustedError(what)
               : absl::InternalError(what);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace foldfarm
