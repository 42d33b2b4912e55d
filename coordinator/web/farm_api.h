// The questions of the page: a path and its parameters into JSON.
//
// Answers are those of FarmService, made by the very same functions, so that a
// figure is equal wherever it appears.
//
//   GET  /api/v1/sweeps                         ListSweepsResponse
//   GET  /api/v1/sweeps/S                       Sweep
//   GET  /api/v1/sweeps/S/jobs                  ListJobsResponse
//   GET  /api/v1/sweeps/S/ensemble[?full=true]  GetEnsembleResponse
//   GET  /api/v1/jobs/S/MODEL/FOLD              GetJobResponse
//   GET  /api/v1/jobs/S/MODEL/FOLD/metrics      GetMetricsResponse
//   GET  /api/v1/workers                        ListWorkersResponse
//   POST /api/v1/session                        {}: the token is right
//   POST /api/v1/cancel?target=S|JOB            CancelResponse
//   POST /api/v1/retry?target=S|JOB             RetryResponse
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_WEB_FARM_API_H_
#define FOLDFARM_COORDINATOR_WEB_FARM_API_H_

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/service/farm_service.h"

namespace foldfarm {

class FarmApi {
 public:
  // `farm` is borrowed.
  explicit FarmApi(FarmServiceImpl& farm) : farm_(farm) {}

  // `path`: what follows "/api/v1/".
  // Errors: NOT_FOUND when nothing is there; those of FarmService.
  absl::StatusOr<std::string> Get(const std::string& path, bool full);
  absl::StatusOr<std::string> Post(const std::string& path,
                                   const std::string& target);

 private:
  FarmServiceImpl& farm_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_FARM_API_H_
