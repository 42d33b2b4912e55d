#include "coordinator/service/farm_service.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/queue/near_misses.h"
#include "coordinator/queue/prediction_plan.h"
#include "coordinator/service/ensemble_view.h"
#include "coordinator/service/farm_view.h"
#include "coordinator/service/prediction_view.h"

namespace foldfarm {

grpc::Status FarmServiceImpl::RegisterDataset(
    grpc::ServerContext*, const v1::RegisterDatasetRequest* request,
    v1::Dataset* response) {
  absl::StatusOr<v1::Dataset> dataset = queue_.RegisterDataset(*request);
  if (!dataset.ok()) return ToGrpc(dataset.status());
  *response = *std::move(dataset);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::ListDatasets(grpc::ServerContext*,
                                           const v1::ListDatasetsRequest*,
                                           v1::ListDatasetsResponse* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<DatasetRow> rows,
                              reader.ListDatasets());
    for (const DatasetRow& row : rows) {
      *response->add_datasets() = row.dataset;
    }
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::GetDataset(grpc::ServerContext*,
                                         const v1::GetDatasetRequest* request,
                                         v1::Dataset* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<DatasetRow> row,
                              reader.FindDataset(request->name()));
    if (row.has_value()) {
      *response = row->dataset;
      return absl::OkStatus();
    }
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<DatasetRow> rows,
                              reader.ListDatasets());
    std::vector<std::string> names;
    for (const DatasetRow& other : rows) names.push_back(other.dataset.name());
    return absl::NotFoundError(
        absl::StrCat("no dataset \"", request->name(), "\"",
                     NearMisses(request->name(), names)));
  }));
}

grpc::Status FarmServiceImpl::RegisterWeights(
    grpc::ServerContext*, const v1::RegisterWeightsRequest* request,
    v1::Weights* response) {
  absl::StatusOr<v1::Weights> weights = queue_.RegisterWeights(*request);
  if (!weights.ok()) return ToGrpc(weights.status());
  *response = *std::move(weights);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::ListWeights(grpc::ServerContext*,
                                          const v1::ListWeightsRequest*,
                                          v1::ListWeightsResponse* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<v1::Weights> all,
                              reader.ListWeights());
    for (const v1::Weights& weights : all) {
      *response->add_weights() = weights;
    }
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::SubmitSweep(grpc::ServerContext*,
                                          const v1::SubmitSweepRequest* request,
                                          v1::SubmitSweepResponse* response) {
  absl::StatusOr<v1::SubmitSweepResponse> submitted =
      queue_.SubmitSweep(*request);
  if (!submitted.ok()) return ToGrpc(submitted.status());
  *response = *std::move(submitted);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::ListSweeps(grpc::ServerContext*,
                                         const v1::ListSweepsRequest*,
                                         v1::ListSweepsResponse* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<SweepRow> rows,
                              reader.ListSweeps());
    for (const SweepRow& row : rows) {
      FOLDFARM_ASSIGN_OR_RETURN(const SweepCounts counts,
                                reader.CountJobs(row.id));
      *response->add_sweeps() = ToSweep(row, counts, /*with_spec=*/false);
    }
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::GetSweep(grpc::ServerContext*,
                                       const v1::GetSweepRequest* request,
                                       v1::Sweep* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const SweepRow row,
                              ResolveSweep(reader, request->sweep()));
    FOLDFARM_ASSIGN_OR_RETURN(const SweepCounts counts,
                              reader.CountJobs(row.id));
    *response = ToSweep(row, counts, /*with_spec=*/true);
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::ListJobs(grpc::ServerContext*,
                                       const v1::ListJobsRequest* request,
                                       v1::ListJobsResponse* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                              ResolveSweep(reader, request->sweep()));
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> rows,
                              reader.ListJobs(sweep.id));
    const FarmLoad farm = queue_.Load();
    for (const JobRow& row : rows) {
      if (request->state() != v1::Job::STATE_UNSPECIFIED &&
          request->state() != row.state) {
        continue;
      }
      v1::Job& job = *response->add_jobs();
      FOLDFARM_ASSIGN_OR_RETURN(job, ViewJob(reader, row, sweep.priority));
      job.set_waiting_reason(queue_.WaitingReason(row, sweep.priority, farm));
    }
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::GetJob(grpc::ServerContext*,
                                     const v1::GetJobRequest* request,
                                     v1::GetJobResponse* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const JobRow row,
                              ResolveJob(reader, request->job()));
    FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                              ResolveSweep(reader, SweepName(row.sweep)));
    FOLDFARM_ASSIGN_OR_RETURN(*response->mutable_job(),
                              ViewJob(reader, row, sweep.priority));
    response->mutable_job()->set_waiting_reason(
        queue_.WaitingReason(row, sweep.priority, queue_.Load()));
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<AttemptRow> attempts,
                              reader.ListAttempts(row.id));
    for (const AttemptRow& attempt : attempts) {
      *response->add_attempts() =
          ToAttempt(attempt, queue_.FindLease(attempt.token));
    }
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::vector<v1::ArtifactRef> results,
        reader.ListArtifacts(row.id, ArtifactKind::kResult));
    for (const v1::ArtifactRef& ref : results) {
      *response->add_artifacts() = ref;
    }
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::vector<v1::ArtifactRef> checkpoint,
        reader.ListArtifacts(row.id, ArtifactKind::kCheckpoint));
    for (const v1::ArtifactRef& ref : checkpoint) {
      *response->add_checkpoint() = ref;
    }
    response->set_checkpoint_epoch(row.checkpoint_epoch);
    *response->mutable_model() = ModelOf(row, sweep.spec);
    FOLDFARM_ASSIGN_OR_RETURN(std::vector<InputRow> inputs,
                              reader.ListInputs(row.sweep));
    std::vector<v1::ArtifactRef> own;
    for (InputRow& input : inputs) {
      if (input.model_index != row.model_index) continue;
      own.push_back(std::move(input.file));
    }
    for (v1::ArtifactRef& input :
         InputsOfFold(own, NetworkFold(sweep.spec, row.fold))) {
      *response->add_inputs() = std::move(input);
    }
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::GetMetrics(grpc::ServerContext*,
                                         const v1::GetMetricsRequest* request,
                                         v1::GetMetricsResponse* response) {
  return ToGrpc(store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const JobRow row,
                              ResolveJob(reader, request->job()));
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<v1::EpochMetrics> epochs,
                              reader.ListMetrics(TrainedJob(row)));
    for (const v1::EpochMetrics& epoch : epochs) {
      *response->add_epochs() = epoch;
    }
    FOLDFARM_ASSIGN_OR_RETURN(const auto result, reader.ResultMetrics(row.id));
    for (const auto& [name, value] : result) {
      (*response->mutable_result())[name] = value;
    }
    return absl::OkStatus();
  }));
}

grpc::Status FarmServiceImpl::ListWorkers(grpc::ServerContext*,
                                          const v1::ListWorkersRequest*,
                                          v1::ListWorkersResponse* response) {
  for (v1::Worker& worker : ViewWorkers(queue_, clock_.Now())) {
    *response->add_workers() = std::move(worker);
  }
  return grpc::Status::OK;
}

absl::StatusOr<FarmServiceImpl::Target> FarmServiceImpl::FindTarget(
    const std::string& name) {
  Target target;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        if (absl::StrContains(name, "/")) {
          FOLDFARM_ASSIGN_OR_RETURN(const JobRow job, ResolveJob(reader, name));
          target = {job.sweep, job.id};
          return absl::OkStatus();
        }
        FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                                  ResolveSweep(reader, name));
        target = {sweep.id, std::nullopt};
        return absl::OkStatus();
      }));
  return target;
}

grpc::Status FarmServiceImpl::Cancel(grpc::ServerContext*,
                                     const v1::CancelRequest* request,
                                     v1::CancelResponse* response) {
  const absl::StatusOr<Target> target = FindTarget(request->target());
  if (!target.ok()) return ToGrpc(target.status());
  const absl::StatusOr<int> jobs = queue_.Cancel(target->sweep, target->job);
  if (!jobs.ok()) return ToGrpc(jobs.status());
  response->set_jobs(*jobs);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::GetEnsemble(grpc::ServerContext*,
                                          const v1::GetEnsembleRequest* request,
                                          v1::GetEnsembleResponse* response) {
  return ToGrpc(ViewEnsemble(store_, files_, ensembles_, *request, *response));
}

grpc::Status FarmServiceImpl::GetOof(
    grpc::ServerContext*, const v1::GetOofRequest* request,
    grpc::ServerWriter<v1::GetOofResponse>* writer) {
  return ToGrpc(ViewOof(store_, files_, request->sweep(),
                        [writer](const v1::GetOofResponse& piece) {
                          return writer->Write(piece);
                        }));
}

grpc::Status FarmServiceImpl::SubmitPrediction(
    grpc::ServerContext*, const v1::SubmitPredictionRequest* request,
    v1::SubmitSweepResponse* response) {
  std::optional<SweepRow> source;
  if (request->bundle().empty()) {
    const absl::Status found =
        store_.Read([&](const Reader& reader) -> absl::Status {
          FOLDFARM_ASSIGN_OR_RETURN(source,
                                    ResolveSweep(reader, request->source()));
          return absl::OkStatus();
        });
    if (!found.ok()) return ToGrpc(found);
  }
  absl::StatusOr<v1::SubmitSweepResponse> submitted = queue_.SubmitPrediction(
      *request, source.has_value() ? &*source : nullptr);
  if (!submitted.ok()) return ToGrpc(submitted.status());
  *response = *std::move(submitted);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::GetPredictions(
    grpc::ServerContext*, const v1::GetPredictionsRequest* request,
    grpc::ServerWriter<v1::GetPredictionsResponse>* writer) {
  return ToGrpc(ViewPredictions(
      store_, files_, *request,
      [writer](const auto& piece) { return writer->Write(piece); }));
}

}  // namespace foldfarm
