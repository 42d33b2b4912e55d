#include "worker/agent/worker_fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

TEST(WorkerFaultTest, NamesWhatOnlyTheBoxCanCause) {
  EXPECT_THAT(WorkerFault("CUDA error: uncorrectable ECC error encountered"),
              HasSubstr("memory error"));
  EXPECT_THAT(
      WorkerFault("CUDA error: no CUDA-capable device is detected\nmore"),
      HasSubstr("GPU"));
  EXPECT_THAT(WorkerFault("INTERNAL: w.safetensors: cannot write: No space "
                          "left on device"),
              HasSubstr("room"));
}

// The words of CheckDevice in worker/training/torch_setup.cc.
TEST(WorkerFaultTest, AGpuThatTheTrainerDoesNotSeeIsOne) {
  for (const char* words :
       {"the trainer exited with status 70: FAILED_PRECONDITION: device is "
        "cuda:0, but this trainer sees no GPU",
        "device is cuda:3, but this trainer sees only 2 GPUs"}) {
    EXPECT_THAT(WorkerFault(words), HasSubstr("--device cpu")) << words;
  }
}

TEST(WorkerFaultTest, DoesNotBlameTheBoxForWhatAProgramCanCause) {
  for (const char* words :
       {"", "loss is nan", "CUDA error: device-side assert triggered",
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: unspecified launch failure",
        "CUDA out of memory. Tried to allocate 2.00 GiB"}) {
    EXPECT_EQ(WorkerFault(words), "") << words;
  }
}

TEST(WorkerFaultTest, AFullDiskIsTheOneThatAUsersProgramCanFill) {
  for (const char* words : {"cannot write: No space left on device",
                            "cannot write: Disk quota exceeded"}) {
    EXPECT_TRUE(IsDiskFault(WorkerFault(words))) << words;
  }
  for (const char* words :
       {"", "CUDA error: uncorrectable ECC error encountered"}) {
    EXPECT_FALSE(IsDiskFault(WorkerFault(words))) << words;
  }
}

TEST(WorkerFaultTest, AFolderWithRoomIsNoFault) {
  EXPECT_EQ(RoomFault("/dev/shm"), "");
  EXPECT_EQ(RoomFault("/nowhere"), "") << "not known to be full";
}

}  // namespace
}  // namespace foldfarm
