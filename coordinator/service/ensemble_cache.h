// Remembers answers that take long to compute, by what they were computed from.
//
// Thread-safe. Whoever asks for what another thread is computing waits for it
// and shares the answer.
#ifndef FOLDFARM_COORDINATOR_SERVICE_ENSEMBLE_CACHE_H_
#define FOLDFARM_COORDINATOR_SERVICE_ENSEMBLE_CACHE_H_

#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

class EnsembleCache {
 public:
  using Answer = std::shared_ptr<const v1::GetEnsembleResponse>;

  // At most `capacity` answers are kept, those used last.
  explicit EnsembleCache(size_t capacity = 16) : capacity_(capacity) {}

  // The answer for `key`, computed unless it is there. Errors: those of
  // `compute`, which are not kept.
  absl::StatusOr<Answer> Get(
      const std::string& key,
      absl::FunctionRef<absl::StatusOr<v1::GetEnsembleResponse>()> compute)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    std::string key;
    Answer answer;  // Null while it is computed.
  };

  std::list<Entry>::iterator Find(const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t capacity_;
  absl::Mutex mu_;  // Not held while computing.
  absl::CondVar computed_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mu_);  // Used last first.
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_ENSEMBLE_CACHE_H_
