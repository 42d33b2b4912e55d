// The API for people over gRPC: thin; it names, translates and asks the store
// and the queue. A call holds a thread while it lasts; there are few people.
//
// Calls that answer once do not look at their context: the page asks the same
// questions in this process, with none.
#ifndef FOLDFARM_COORDINATOR_SERVICE_FARM_SERVICE_H_
#define FOLDFARM_COORDINATOR_SERVICE_FARM_SERVICE_H_

#include "common/base/clock.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/service/ensemble_cache.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.grpc.pb.h"

namespace foldfarm {

class FarmServiceImpl final : public v1::FarmService::Service {
 public:
  // All are borrowed.
  FarmServiceImpl(Store& store, ArtifactFiles& files, JobQueue& queue,
                  Clock& clock)
      : store_(store), files_(files), queue_(queue), clock_(clock) {}

  grpc::Status RegisterDataset(grpc::ServerContext* context,
                               const v1::RegisterDatasetRequest* request,
                               v1::Dataset* response) override;
  grpc::Status ListDatasets(grpc::ServerContext* context,
                            const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override;
  grpc::Status GetDataset(grpc::ServerContext* context,
                          const v1::GetDatasetRequest* request,
                          v1::Dataset* response) override;
  grpc::Status RegisterWeights(grpc::ServerContext* context,
                               const v1::RegisterWeightsRequest* request,
                               v1::Weights* response) override;
  grpc::Status ListWeights(grpc::ServerContext* context,
                           const v1::ListWeightsRequest* request,
                           v1::ListWeightsResponse* response) override;
  grpc::Status SubmitSweep(grpc::ServerContext* context,
                           const v1::SubmitSweepRequest* request,
                           v1::SubmitSweepResponse* response) override;
  grpc::Status ListSweeps(grpc::ServerContext* context,
                          const v1::ListSweepsRequest* request,
                          v1::ListSweepsResponse* response) override;
  grpc::Status GetSweep(grpc::ServerContext* context,
                        const v1::GetSweepRequest* request,
                        v1::Sweep* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context,
                        const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status GetJob(grpc::ServerContext* context,
                      const v1::GetJobRequest* request,
                      v1::GetJobResponse* response) override;
  grpc::Status WatchSweep(
      grpc::ServerContext* context, const v1::WatchSweepRequest* request,
      grpc::ServerWriter<v1::WatchSweepResponse>* writer) override;
  grpc::Status GetLogs(
      grpc::ServerContext* context, const v1::GetLogsRequest* request,
      grpc::ServerWriter<v1::GetLogsResponse>* writer) override;
  grpc::Status GetMetrics(grpc::ServerContext* context,
                          const v1::GetMetricsRequest* request,
                          v1::GetMetricsResponse* response) override;
  grpc::Status ListWorkers(grpc::ServerContext* context,
                           const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override;
  grpc::Status GetEnsemble(grpc::ServerContext* context,
                           const v1::GetEnsembleRequest* request,
                           v1::GetEnsembleResponse* response) override;
  grpc::Status GetOof(grpc::ServerContext* context,
                      const v1::GetOofRequest* request,
                      grpc::ServerWriter<v1::GetOofResponse>* writer) override;
  grpc::Status SubmitPrediction(grpc::ServerContext* context,
                                const v1::SubmitPredictionRequest* request,
                                v1::SubmitSweepResponse* response) override;
  grpc::Status GetPredictions(
      grpc::ServerContext* context, const v1::GetPredictionsRequest* request,
      grpc::ServerWriter<v1::GetPredictionsResponse>* writer) override;
  grpc::Status Cancel(grpc::ServerContext* context,
                      const v1::CancelRequest* request,
                      v1::CancelResponse* response) override;
  grpc::Status Retry(grpc::ServerContext* context,
                     const v1::RetryRequest* request,
                     v1::RetryResponse* response) override;
  grpc::Status Pause(grpc::ServerContext* context,
                     const v1::PauseRequest* request,
                     v1::PauseResponse* response) override;
  grpc::Status Resume(grpc::ServerContext* context,
                      const v1::ResumeRequest* request,
                      v1::ResumeResponse* response) override;
  grpc::Status SetPriority(grpc::ServerContext* context,
                           const v1::SetPriorityRequest* request,
                           v1::SetPriorityResponse* response) override;
  grpc::Status Backup(grpc::ServerContext* context,
                      const v1::BackupRequest* request,
                      grpc::ServerWriter<v1::BackupResponse>* writer) override;
  grpc::Status CollectGarbage(grpc::ServerContext* context,
                              const v1::CollectGarbageRequest* request,
                              v1::CollectGarbageResponse* response) override;
  grpc::Status DrainWorker(grpc::ServerContext* context,
                           const v1::DrainWorkerRequest* request,
                           v1::Worker* response) override;
  grpc::Status UndrainWorker(grpc::ServerContext* context,
                             const v1::UndrainWorkerRequest* request,
                             v1::Worker* response) override;

 private:
  // A sweep, or one of its jobs.
  struct Target {
    SweepId sweep;
    std::optional<JobId> job;
  };
  absl::StatusOr<Target> FindTarget(const std::string& name);
  // Whether a stream should end: the caller went, or the coordinator goes.
  bool Over(const grpc::ServerContext& context) const;

  absl::Status Watch(const grpc::ServerContext& context,
                     const std::string& name,
                     grpc::ServerWriter<v1::WatchSweepResponse>& writer);
  absl::Status StreamLog(const grpc::ServerContext& context,
                         const v1::GetLogsRequest& request,
                         grpc::ServerWriter<v1::GetLogsResponse>& writer);

  Store& store_;
  ArtifactFiles& files_;
  JobQueue& queue_;
  Clock& clock_;
  EnsembleCache ensembles_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_FARM_SERVICE_H_
