#include "tests/bench/queue_farm.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(120);

}  // namespace

void DieUnlessOk(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "queue_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

double Now() { return absl::ToDoubleSeconds(Clock::Real().Monotonic()); }

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const size_t index =
      static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  return values[index];
}

v1::SweepSpec BenchSpec(int models) {
  v1::SweepSpec spec;
  spec.set_name("bench");
  spec.mutable_folds()->set_count(2);
  for (int i = 0; i < models; ++i) {
    v1::ModelSpec& model = *spec.add_models();
    model.set_name(absl::StrCat("m", i));
    model.mutable_arch()->mutable_none();
  }
  return spec;
}

BenchFarm::BenchFarm(const std::string& parent)
    : directory_(JoinPath(parent, NewRandomId())) {
  DieUnlessOk(MakeDirectories(directory_));
  StartCoordinator();
  artifacts_ = v1::ArtifactService::NewStub(Connect());
  farm_ = v1::FarmService::NewStub(Connect());
  v1::RegisterDatasetRequest request;
  request.set_name("tiny");
  request.set_digest(
      OrDie(UploadBytes(*artifacts_, TinyDataset(12), "dataset")).digest());
  OrDie(UnaryCall(*farm_, &v1::FarmService::StubInterface::RegisterDataset,
                  request, kTimeout));
}

BenchFarm::~BenchFarm() {
  coordinator_.reset();
  RemoveRecursively(directory_).IgnoreError();
}

double BenchFarm::StartCoordinator() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) DieUnlessOk(ErrnoStatus("pipe", "create"));
  SubprocessOptions command;
  command.argv = {JoinPath(ProgramDirectory(), "foldfarm-coordinator"),
                  "--dir",
                  JoinPath(directory_, "farm"),
                  "--listen",
                  endpoint_.empty() ? "127.0.0.1:0" : endpoint_,
                  "--log-file",
                  JoinPath(directory_, "coordinator.log")};
  command.descriptors = {{1, fds[1]}};
  const double begin = Now();
  coordinator_ = OrDie(Subprocess::Spawn(command));
  close(fds[1]);
  std::string line;
  char c = 0;
  while (read(fds[0], &c, 1) == 1 && c != '\n') line += c;
  const double seconds = Now() - begin;
  close(fds[0]);
  absl::string_view said = line;
  if (!absl::ConsumePrefix(&said, "listening on ")) {
    DieUnlessOk(absl::InternalError(absl::StrCat(
        "the coordinator said \"", line, "\", expected its address")));
  }
  endpoint_ = std::string(said);
  return seconds;
}

double BenchFarm::Restart(bool clean) {
  coordinator_->Signal(clean ? SIGTERM : SIGKILL);
  coordinator_->Wait();
  return StartCoordinator();
}

double BenchFarm::CpuSeconds() const {
  // Fields 14 and 15 of proc(5); the name before them has no space.
  const std::string text =
      OrDie(ReadFile(absl::StrCat("/proc/", coordinator_->pid(), "/stat")));
  const std::vector<std::string> fields = absl::StrSplit(text, ' ');
  double ticks = 0;
  for (const size_t i : {13, 14}) {
    double value = 0;
    if (fields.size() > i && absl::SimpleAtod(fields[i], &value)) {
      ticks += value;
    }
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::shared_ptr<grpc::Channel> BenchFarm::Connect() const {
  return MakeChannel(endpoint_);
}

v1::SubmitSweepRequest BenchFarm::SubmitRequest(int models) const {
  v1::SubmitSweepRequest request;
  request.set_request_id(NewRandomId());
  request.set_dataset("tiny");
  request.set_no_reuse(true);
  *request.mutable_spec() = BenchSpec(models);
  return request;
}

void BenchFarm::Submit(int models) {
  OrDie(UnaryCall(*farm_, &v1::FarmService::StubInterface::SubmitSweep,
                  SubmitRequest(models), kTimeout));
}

const v1::ArtifactRef& BenchFarm::Result(const v1::Lease& lease) {
  v1::ArtifactRef& result = results_[lease.spec().fold()];
  if (result.digest().empty()) {
    result =
        OrDie(UploadBytes(*artifacts_,
                          TinyOof({lease.spec().validation_samples().begin(),
                                   lease.spec().validation_samples().end()},
                                  0.5f),
                          "oof.safetensors"));
  }
  return result;
}

StubWorkers::StubWorkers(BenchFarm& farm, int count)
    : farm_(farm), submitter_(v1::FarmService::NewStub(farm.Connect())) {
  for (int i = 0; i < count; ++i) {
    Worker worker;
    worker.stub = v1::WorkerService::NewStub(farm.Connect());
    v1::RegisterRequest request;
    request.set_name(absl::StrCat("w", i));
    request.set_slots(1);
    worker.session =
        OrDie(UnaryCall(*worker.stub,
                        &v1::WorkerService::StubInterface::Register, request,
                        kTimeout))
            .session();
    workers_.push_back(std::move(worker));
  }
}

StubWorkers::~StubWorkers() {
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) delete static_cast<Call*>(tag);
}

template <typename Response, typename Start>
void StubWorkers::Begin(Start start,
                        std::function<void(const Response&)> done) {
  struct Typed final : Call {
    void End() override {
      DieUnlessOk(ToStatus(status));
      done(response);
    }
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
    Response response;
    std::function<void(const Response&)> done;
  };
  auto* call = new Typed;
  call->done = std::move(done);
  call->reader = start(&call->context);
  call->reader->Finish(&call->response, &call->status,
                       static_cast<Call*>(call));
}

void StubWorkers::Acquire(int worker,
                          std::function<void(const v1::Lease&)> done) {
  Worker& w = workers_[static_cast<size_t>(worker)];
  v1::AcquireLeasesRequest request;
  request.set_session(w.session);
  request.set_free_slots(1);
  request.set_max_leases(1);
  request.set_wait_seconds(30);
  Begin<v1::AcquireLeasesResponse>(
      [&](grpc::ClientContext* context) {
        return w.stub->AsyncAcquireLeases(context, request, &queue_);
      },
      [this, worker, done](const v1::AcquireLeasesResponse& response) {
        if (response.leases_size() == 0) return Acquire(worker, done);
        done(response.leases(0));
      });
}

void StubWorkers::Finish(
    int worker, const v1::Lease& lease, bool next,
    std::function<void(const v1::FinishAttemptResponse&)> done) {
  Worker& w = workers_[static_cast<size_t>(worker)];
  v1::FinishAttemptRequest request;
  request.set_session(w.session);
  request.set_token(lease.token());
  request.set_outcome(v1::Attempt::SUCCEEDED);
  *request.add_artifacts() = farm_.Result(lease);
  (*request.mutable_metrics())["log_loss"] = 0.5;
  if (next) request.set_next_leases(1);
  request.set_free_slots(1);
  Begin<v1::FinishAttemptResponse>(
      [&](grpc::ClientContext* context) {
        return w.stub->AsyncFinishAttempt(context, request, &queue_);
      },
      std::move(done));
}

void StubWorkers::Heartbeat(int worker, int64_t token,
                            std::function<void()> done) {
  Worker& w = workers_[static_cast<size_t>(worker)];
  v1::HeartbeatRequest request;
  request.set_session(w.session);
  request.add_tokens(token);
  Begin<v1::HeartbeatResponse>(
      [&](grpc::ClientContext* context) {
        return w.stub->AsyncHeartbeat(context, request, &queue_);
      },
      [done](const v1::HeartbeatResponse& response) {
        if (response.answers(0).action() != v1::HeartbeatResponse::CONTINUE) {
          DieUnlessOk(absl::AbortedError("a heartbeat lost its lease"));
        }
        done();
      });
}

void StubWorkers::Submit(int models, std::function<void()> done) {
  const v1::SubmitSweepRequest request = farm_.SubmitRequest(models);
  Begin<v1::SubmitSweepResponse>(
      [&](grpc::ClientContext* context) {
        return submitter_->AsyncSubmitSweep(context, request, &queue_);
      },
      [done](const v1::SubmitSweepResponse&) { done(); });
}

void StubWorkers::Next() {
  void* tag = nullptr;
  bool ok = false;
  if (!queue_.Next(&tag, &ok)) {
    DieUnlessOk(absl::InternalError("the completion queue has ended"));
  }
  const std::unique_ptr<Call> call(static_cast<Call*>(tag));
  call->End();
}

}  // namespace foldfarm
