// What the parts of JobQueue share.
#ifndef FOLDFARM_COORDINATOR_QUEUE_RUN_WORK_H_
#define FOLDFARM_COORDINATOR_QUEUE_RUN_WORK_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/store.h"

namespace foldfarm {

// Runs `work(tx, response)` as work of the store; after the commit `answer`
// gets the response, or why there is none.
template <typename Response, typename Work>
void RunWork(Store& store, Work work,
             absl::AnyInvocable<void(absl::StatusOr<Response>)> answer) {
  auto response = std::make_unique<Response>();
  Response* filled = response.get();
  store.Run([work = std::move(work),
             filled](Tx& tx) mutable { return work(tx, *filled); },
            [response = std::move(response),
             answer = std::move(answer)](const absl::Status& status) mutable {
              if (status.ok()) {
                answer(std::move(*response));
              } else {
                answer(status);
              }
            });
}

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_RUN_WORK_H_
