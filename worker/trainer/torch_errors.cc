#include "worker/trainer/torch_errors.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "absl/strings/string_view.h"
#include "worker/training/out_of_memory.h"

namespace foldfarm {

absl::Status CatchTorchErrors(absl::FunctionRef<absl::Status()> work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const c10::Error& error) {
    const absl::string_view what = error.what_without_backtrace();
    return IsOutOfMemory(error) ? absl::ResourceExhaustedError(what)
                                : absl::InternalError(what);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace foldfarm
