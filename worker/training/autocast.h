// Mixed precision for a stretch of code.
#ifndef FOLDFARM_WORKER_TRAINING_AUTOCAST_H_
#define FOLDFARM_WORKER_TRAINING_AUTOCAST_H_

namespace foldfarm {

// While it lives, eligible operations on the CPU or the GPU run in bfloat16 and
// weights are cast on first use; nothing when not enabled. Not nestable.
class AutocastScope {
 public:
  AutocastScope(bool enabled, bool on_gpu);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  const bool enabled_;
  const bool on_gpu_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_AUTOCAST_H_
