#include "tests/bench/queue_farm.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

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

std::unique_ptr<Subprocess> SpawnUntilLine(std::vector<std::string> argv,
                                           std::string& line) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) DieUnlessOk(ErrnoStatus("pipe", "create"));
  SubprocessOptions command;
  command.argv = std::move(argv);
  command.descriptors = {{1, fds[1]}};
  std::unique_ptr<Subprocess> child = OrDie(Subprocess::Spawn(command));
  close(fds[1]);
  line.clear();
  char c = 0;
  while (read(fds[0], &c, 1) == 1 && c != '\n') line += c;
  close(fds[0]);
  return child;
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
  std::string line;
  const double begin = Now();
  coordinator_ =
      SpawnUntilLine({JoinPath(ProgramDirectory(), "foldfarm-coordinator"),
                      "--dir", JoinPath(directory_, "farm"), "--listen",
                      endpoint_.empty() ? "127.0.0.1:0" : endpoint_,
                      "--log-file", JoinPath(directory_, "coordinator.log")},
                     line);
  const double seconds = Now() - begin;
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

// A worker's calls, over one stream on a connection of its own.
class StubWorkers::Stream {
 public:
  using Done = std::function<void(const v1::WorkResponse&)>;

  Stream(const std::shared_ptr<grpc::Channel>& channel,
         grpc::CompletionQueue* queue)
      : stub_(v1::WorkerService::NewStub(channel)),
        stream_(stub_->AsyncWork(&context_, queue, Tag(begun_))) {}

  v1::WorkerService::Stub& stub() { return *stub_; }

  void Call(v1::WorkRequest request, Done done) {
    request.set_id(++last_id_);
    under_way_.emplace_back(last_id_, std::move(done));
    out_.push_back(std::move(request));
    if (out_.size() == 1 && has_begun_) Write();
  }

  // The queue hands back what was under way.
  void Cancel() { context_.TryCancel(); }

 private:
  struct Step final : Event {
    Step(Stream& of, void (Stream::*what)()) : stream(of), next(what) {}
    void End(bool ok) override {
      if (!ok) DieUnlessOk(absl::UnavailableError("a worker's stream broke"));
      (stream.*next)();
    }
    Stream& stream;
    void (Stream::*const next)();
  };

  static void* Tag(Step& step) { return static_cast<Event*>(&step); }
  void Write() { stream_->Write(out_.front(), Tag(written_)); }
  void Begun() {
    has_begun_ = true;
    stream_->Read(&in_, Tag(read_));
    if (!out_.empty()) Write();
  }
  void Written() {
    out_.pop_front();
    if (!out_.empty()) Write();
  }
  void Read() {
    if (in_.error_code() != 0) {
      DieUnlessOk(
          ToStatus(grpc::Status(static_cast<grpc::StatusCode>(in_.error_code()),
                                in_.error_message())));
    }
    const auto call = std::find_if(
        under_way_.begin(), under_way_.end(),
        [this](const auto& entry) { return entry.first == in_.id(); });
    const Done done = std::move(call->second);
    under_way_.erase(call);
    done(in_);
    stream_->Read(&in_, Tag(read_));
  }

  Step begun_{*this, &Stream::Begun};
  Step written_{*this, &Stream::Written};
  Step read_{*this, &Stream::Read};
  grpc::ClientContext context_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  const std::unique_ptr<
      grpc::ClientAsyncReaderWriter<v1::WorkRequest, v1::WorkResponse>>
      stream_;
  bool has_begun_ = false;
  uint64_t last_id_ = 0;
  std::vector<std::pair<uint64_t, Done>> under_way_;
  std::deque<v1::WorkRequest> out_;
  v1::WorkResponse in_;
};

// The only call that is not a worker's.
struct StubWorkers::Submission final : Event {
  void End(bool) override {
    DieUnlessOk(ToStatus(status));
    done();
    delete this;
  }
  grpc::ClientContext context;
  grpc::Status status;
  v1::SubmitSweepResponse response;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::SubmitSweepResponse>>
      reader;
  std::function<void()> done;
};

StubWorkers::StubWorkers(BenchFarm& farm, int count)
    : farm_(farm), submitter_(v1::FarmService::NewStub(farm.Connect())) {
  for (int i = 0; i < count; ++i) {
    Worker worker;
    worker.stream = std::make_unique<Stream>(farm.Connect(), &queue_);
    v1::RegisterRequest request;
    request.set_name(absl::StrCat("w", i));
    request.set_slots(1);
    worker.session =
        OrDie(UnaryCall(worker.stream->stub(),
                        &v1::WorkerService::StubInterface::Register, request,
                        kTimeout))
            .session();
    workers_.push_back(std::move(worker));
  }
}

StubWorkers::~StubWorkers() {
  for (Worker& worker : workers_) worker.stream->Cancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void StubWorkers::Acquire(int worker,
                          std::function<void(const v1::Lease&)> done) {
  Worker& w = workers_[static_cast<size_t>(worker)];
  v1::WorkRequest message;
  v1::AcquireLeasesRequest& request = *message.mutable_acquire_leases();
  request.set_session(w.session);
  request.set_free_slots(1);
  request.set_max_leases(1);
  request.set_wait_seconds(30);
  w.stream->Call(std::move(message), [this, worker, done = std::move(done)](
                                         const v1::WorkResponse& response) {
    const auto& leases = response.acquire_leases().leases();
    if (leases.empty()) return Acquire(worker, done);
    done(leases[0]);
  });
}

void StubWorkers::Finish(
    int worker, const v1::Lease& lease, bool next,
    std::function<void(const v1::FinishAttemptResponse&)> done) {
  Worker& w = workers_[static_cast<size_t>(worker)];
  v1::WorkRequest message;
  v1::FinishAttemptRequest& request = *message.mutable_finish_attempt();
  request.set_session(w.session);
  request.set_token(lease.token());
  request.set_outcome(v1::Attempt::SUCCEEDED);
  *request.add_artifacts() = farm_.Result(lease);
  (*request.mutable_metrics())["log_loss"] = 0.5;
  if (next) request.set_next_leases(1);
  request.set_free_slots(1);
  w.stream->Call(std::move(message),
                 [done = std::move(done)](const v1::WorkResponse& response) {
                   done(response.finish_attempt());
                 });
}

void StubWorkers::Heartbeat(int worker, int64_t token,
                            std::function<void()> done) {
  Worker& w = workers_[static_cast<size_t>(worker)];
  v1::WorkRequest message;
  v1::HeartbeatRequest& request = *message.mutable_heartbeat();
  request.set_session(w.session);
  request.add_tokens(token);
  w.stream->Call(std::move(message), [done = std::move(done)](
                                         const v1::WorkResponse& response) {
    if (response.heartbeat().answers(0).action() !=
        v1::HeartbeatResponse::CONTINUE) {
      DieUnlessOk(absl::AbortedError("a heartbeat lost its lease"));
    }
    done();
  });
}

void StubWorkers::Submit(int models, std::function<void()> done) {
  auto* submission = new Submission;
  submission->done = std::move(done);
  submission->reader = submitter_->AsyncSubmitSweep(
      &submission->context, farm_.SubmitRequest(models), &queue_);
  submission->reader->Finish(&submission->response, &submission->status,
                             static_cast<Event*>(submission));
}

void StubWorkers::Next() {
  void* tag = nullptr;
  bool ok = false;
  if (!queue_.Next(&tag, &ok)) {
    DieUnlessOk(absl::InternalError("the completion queue has ended"));
  }
  static_cast<Event*>(tag)->End(ok);
}

}  // namespace foldfarm
