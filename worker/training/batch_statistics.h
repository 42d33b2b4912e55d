// Statistics of batch normalization, taken anew.
#ifndef FOLDFARM_WORKER_TRAINING_BATCH_STATISTICS_H_
#define FOLDFARM_WORKER_TRAINING_BATCH_STATISTICS_H_

#include <memory>

namespace torch::nn {
class Module;
}  // namespace torch::nn

namespace foldfarm {

// While it lives, every batch normalization of a network forgets its running
// statistics and averages those of the batches it sees in train mode, each
// alike; afterwards its momentum is what it was.
// Source: Izmailov et al. 2018, section 3.2.
class CumulativeBatchStatistics {
 public:
  explicit CumulativeBatchStatistics(torch::nn::Module& network);
  ~CumulativeBatchStatistics();
  CumulativeBatchStatistics(const CumulativeBatchStatistics&) = delete;
  CumulativeBatchStatistics& operator=(const CumulativeBatchStatistics&) =
      delete;

  // The network has no batch normalization: nothing to take.
  bool empty() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_BATCH_STATISTICS_H_
