// Which of Torch's errors are want of memory.
#ifndef FOLDFARM_WORKER_TRAINING_OUT_OF_MEMORY_H_
#define FOLDFARM_WORKER_TRAINING_OUT_OF_MEMORY_H_

namespace c10 {
class Error;
}  // namespace c10

namespace foldfarm {

// Also those without a type of their own: of the CPU's allocator, and of CUDA
// and its libraries, which allocate past Torch's.
bool IsOutOfMemory(const c10::Error& error);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_OUT_OF_MEMORY_H_
