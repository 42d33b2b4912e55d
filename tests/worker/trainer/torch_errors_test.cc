#include "worker/trainer/torch_errors.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <new>

namespace foldfarm {
namespace {

TEST(TorchErrorsTest, WantOfMemoryIsTold) {
  for (const char* what :
       {"[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 8 bytes",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling "
        "`cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"}) {
    const absl::Status status = CatchTorchErrors(
        [what]() -> absl::Status { TORCH_CHECK(false, what); });
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(
      CatchTorchErrors([]() -> absl::Status { throw std::bad_alloc(); })));
}

TEST(TorchErrorsTest, OtherErrorsAreInternal) {
  const absl::Status status = CatchTorchErrors(
      []() -> absl::Status { TORCH_CHECK(false, "shapes do not match"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "shapes do not match");
}

}  // namespace
}  // namespace foldfarm
