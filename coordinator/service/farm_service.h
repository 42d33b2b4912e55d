// The API for people over gRPC: thin; it names, translates and asks the store
// and the queue. A call holds a thread while it lasts, but for those that
// follow something, which last for hours: see StreamHub.
//
// Calls that answer once do not look at their context: the page asks the same
// questions in this process, with none.
#ifndef FOLDFARM_COORDINATOR_SERVICE_FARM_SERVICE_H_
#define FOLDFARM_COORDINATOR_SERVICE_FARM_SERVICE_H_

#include "common/base/clock.h"
#include "common/rpc/tokens.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/service/ensemble_cache.h"
#include "coordinator/service/stream_hub.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.grpc.pb.h"

namespace foldfarm {

// Streams that may be open at a time, unless said otherwise.
inline constexpr int kDefaultMaxStreams = 4096;

class FarmServiceImpl final
    : public v1::FarmService::WithRawCallbackMethod_WatchSweep<
          v1::FarmService::WithRawCallbackMethod_GetLogs<
              v1::FarmService::Service>> {
 public:
  // All but the number are borrowed. `max_streams`: watches and logs at a time.
  FarmServiceImpl(Store& store, ArtifactFiles& files, JobQueue& queue,
                  Clock& clock, int max_streams = kDefaultMaxStreams,
                  TokenStore* tokens = nullptr)
      : store_(store),
        files_(files),
        queue_(queue),
        clock_(clock),
        tokens_(tokens),
        streams_(queue, clock, max_streams) {}

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
  StreamHub::Reactor* WatchSweep(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* request) override;
  StreamHub::Reactor* GetLogs(grpc::CallbackServerContext* context,
                              const grpc::ByteBuffer* request) override;
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

  // Watches and logs that are followed now.
  int open_streams() const { return streams_.open(); }

 private:
  // A sweep, or one of its jobs.
  struct Target {
    SweepId sweep;
    std::optional<JobId> job;
  };
  absl::StatusOr<Target> FindTarget(const std::string& name);
  // What is new of a sweep, or in a log.
  absl::StatusOr<StreamStep> ReadSweep(const std::string& name,
                                       const StreamCursor& from);
  absl::StatusOr<StreamStep> ReadLog(const v1::GetLogsRequest& request,
                                     const StreamCursor& from);

  Store& store_;
  ArtifactFiles& files_;
  JobQueue& queue_;
  Clock& clock_;
  TokenStore* const tokens_;  // Borrowed; null: all may do all.
  EnsembleCache ensembles_;
  StreamHub streams_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_FARM_SERVICE_H_
