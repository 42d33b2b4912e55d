#include "tests/bench/bare_peer.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/store/open_database.h"
#include "coordinator/store/sqlite.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/bench/bench_server.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {
namespace {

// As SQLite copies its log by itself.
constexpr int kCopyPages = 1000;

constexpr char kSchema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "CREATE TABLE job(id INTEGER PRIMARY KEY, state INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, attempt INTEGER NOT NULL);"
    "CREATE INDEX job_ready ON job(priority DESC, id) WHERE state = 1;"
    "CREATE TABLE attempt(job INTEGER, attempt INTEGER, end_us INTEGER,"
    " PRIMARY KEY(job, attempt)) WITHOUT ROWID;";

// One writer, and those that wait for it.
class BareQueue {
 public:
  explicit BareQueue(std::unique_ptr<Connection> database)
      : database_(std::move(database)), writer_([this] { Write(); }) {}

  // What a call asks for, all of it in one transaction.
  struct Step {
    int64_t ended = 0;    // The job that ends; 0: none.
    int submitted = 0;    // New jobs.
    bool claims = false;  // Asks for a job,
    bool waits = false;   // and waits until there is one.
    int64_t claimed = 0;  // The answer; 0: none.
    absl::Notification stored;
  };

  // Returns when it is on disk.
  void Run(Step& step) {
    {
      absl::MutexLock lock(&mu_);
      queue_.push_back(&step);
    }
    step.stored.WaitForNotification();
  }

 private:
  [[noreturn]] void Write() {
    while (true) {
      std::vector<Step*> batch;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(
            +[](std::vector<Step*>* queue) { return !queue->empty(); },
            &queue_));
        batch.swap(queue_);
      }
      std::vector<Step*> answered;
      DieUnlessOk(Commit(batch, answered));
      for (Step* step : answered) step->stored.Notify();
      if (database_->log_pages() < kCopyPages) continue;
      DieUnlessOk(database_->Prepare("PRAGMA wal_checkpoint(PASSIVE)").Run());
    }
  }

  absl::Status Commit(const std::vector<Step*>& batch,
                      std::vector<Step*>& answered) {
    FOLDFARM_RETURN_IF_ERROR(database_->Prepare("BEGIN IMMEDIATE").Run());
    for (Step* step : batch) {
      if (step->ended != 0) FOLDFARM_RETURN_IF_ERROR(End(step->ended));
      for (int i = 0; i < step->submitted; ++i) {
        FOLDFARM_RETURN_IF_ERROR(
            database_->Prepare("INSERT INTO job VALUES(NULL, 1, 0, 0)").Run());
      }
      if (step->waits) {
        waiting_.push_back(step);
        continue;
      }
      if (step->claims) FOLDFARM_RETURN_IF_ERROR(Claim(*step));
      answered.push_back(step);
    }
    while (!waiting_.empty()) {
      FOLDFARM_RETURN_IF_ERROR(Claim(*waiting_.front()));
      if (waiting_.front()->claimed == 0) break;
      answered.push_back(waiting_.front());
      waiting_.pop_front();
    }
    return database_->Prepare("COMMIT").Run();
  }

  absl::Status End(int64_t job) {
    FOLDFARM_RETURN_IF_ERROR(
        database_
            ->Prepare("UPDATE job SET state = 5 WHERE id = ? AND state = 3")
            .Bind(job)
            .Run());
    return database_
        ->Prepare("UPDATE attempt SET end_us = 1 WHERE job = ? AND attempt = 1")
        .Bind(job)
        .Run();
  }

  absl::Status Claim(Step& step) {
    {
      Statement claim = database_->Prepare(
          "UPDATE job SET state = 3, attempt = attempt + 1 WHERE id = (SELECT"
          " id FROM job WHERE state = 1 ORDER BY priority DESC, id LIMIT 1) "
          "RETURNING id");
      FOLDFARM_ASSIGN_OR_RETURN(const bool found, claim.Step());
      if (!found) return absl::OkStatus();
      step.claimed = claim.Int(0);
    }
    return database_->Prepare("INSERT INTO attempt VALUES(?, 1, NULL)")
        .Bind(step.claimed)
        .Run();
  }

  const std::unique_ptr<Connection> database_;
  std::deque<Step*> waiting_;  // The writer's.
  absl::Mutex mu_;
  std::vector<Step*> queue_ ABSL_GUARDED_BY(mu_);
  std::thread writer_;  // Last: uses all of the above.
};

// A job's number is its token.
class BareWorkerService final : public v1::WorkerService::Service {
 public:
  explicit BareWorkerService(BareQueue& queue) : queue_(queue) {}

  grpc::Status AcquireLeases(grpc::ServerContext*,
                             const v1::AcquireLeasesRequest*,
                             v1::AcquireLeasesResponse* response) override {
    BareQueue::Step step;
    step.waits = true;
    queue_.Run(step);
    response->add_leases()->set_token(step.claimed);
    return grpc::Status::OK;
  }

  grpc::Status FinishAttempt(grpc::ServerContext*,
                             const v1::FinishAttemptRequest* request,
                             v1::FinishAttemptResponse* response) override {
    BareQueue::Step step;
    step.ended = request->token();
    step.claims = request->next_leases() > 0;
    queue_.Run(step);
    if (step.claimed != 0) {
      response->add_next_leases()->set_token(step.claimed);
    }
    return grpc::Status::OK;
  }

 private:
  BareQueue& queue_;
};

class BareFarmService final : public v1::FarmService::Service {
 public:
  explicit BareFarmService(BareQueue& queue) : queue_(queue) {}

  grpc::Status SubmitSweep(grpc::ServerContext*,
                           const v1::SubmitSweepRequest* request,
                           v1::SubmitSweepResponse*) override {
    BareQueue::Step step;
    step.submitted =
        request->spec().models_size() * request->spec().folds().count();
    queue_.Run(step);
    return grpc::Status::OK;
  }

 private:
  BareQueue& queue_;
};

// Ends a job and claims the next, 0: none.
int64_t Finish(v1::WorkerService::Stub& stub, int64_t token, bool next) {
  grpc::ClientContext context;
  v1::FinishAttemptRequest request;
  v1::FinishAttemptResponse response;
  request.set_token(token);
  if (next) request.set_next_leases(1);
  DieUnlessOk(ToStatus(stub.FinishAttempt(&context, request, &response)));
  return response.next_leases().empty() ? 0 : response.next_leases(0).token();
}

}  // namespace

int BarePeer::Serve(const std::string& database) {
  std::unique_ptr<Connection> connection =
      OrDie(Connection::Open(database, /*read_only=*/false));
  DieUnlessOk(connection->Execute(absl::StrCat(kPagePragma, kSchema)));
  BareQueue queue(std::move(connection));
  BareWorkerService workers(queue);
  BareFarmService farm(queue);
  return foldfarm::Serve({&workers, &farm});
}

BarePeer::BarePeer(const std::string& parent)
    : directory_(JoinPath(parent, NewRandomId())) {
  DieUnlessOk(MakeDirectories(directory_));
  server_ = StartServer(kServe, JoinPath(directory_, "bare.db"), endpoint_);
  submitter_ = v1::FarmService::NewStub(ConnectTo(endpoint_));
}

BarePeer::~BarePeer() {
  server_.reset();
  RemoveRecursively(directory_).IgnoreError();
}

double BarePeer::JobsPerSecond(int workers, int jobs) {
  std::vector<std::unique_ptr<v1::WorkerService::Stub>> stubs;
  for (int i = 0; i < workers; ++i) stubs.push_back(ConnectWorker(endpoint_));
  Submit(jobs);
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  const double begin = Now();
  for (const auto& stub : stubs) {
    threads.emplace_back([&done, &stub = *stub] {
      int64_t token = Finish(stub, 0, true);
      for (; token != 0; ++done) token = Finish(stub, token, true);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = Now() - begin;
  if (done != jobs) {
    DieUnlessOk(absl::InternalError(absl::StrCat(
        "the bare queue ended ", done.load(), " jobs, expected ", jobs)));
  }
  return jobs / seconds;
}

std::vector<double> BarePeer::StartSeconds(int workers, int rounds) {
  struct Round {
    absl::Mutex mu;
    double started ABSL_GUARDED_BY(mu) = 0;
    int finished ABSL_GUARDED_BY(mu) = 0;
  } round;
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.emplace_back([&round, stub = ConnectWorker(endpoint_)] {
      while (true) {
        grpc::ClientContext context;
        v1::AcquireLeasesResponse response;
        if (!stub->AcquireLeases(&context, {}, &response).ok()) return;
        const double now = Now();
        {
          absl::MutexLock lock(&round.mu);
          if (round.started == 0) round.started = now;
        }
        Finish(*stub, response.leases(0).token(), false);
        absl::MutexLock lock(&round.mu);
        ++round.finished;
      }
    });
  }
  std::vector<double> seconds;
  for (int i = 0; i < rounds; ++i) {
    absl::SleepFor(absl::Milliseconds(5));  // Idle, as the farm is.
    {
      absl::MutexLock lock(&round.mu);
      round.started = 0;
      round.finished = 0;
    }
    const double begin = Now();
    Submit(2);
    absl::MutexLock lock(&round.mu);
    round.mu.Await(absl::Condition(
        +[](int* finished) { return *finished == 2; }, &round.finished));
    seconds.push_back(round.started - begin);
  }
  // Ends the calls that wait.
  server_.reset();
  for (std::thread& thread : threads) thread.join();
  return seconds;
}

void BarePeer::Submit(int jobs) {
  grpc::ClientContext context;
  v1::SubmitSweepRequest request;
  v1::SubmitSweepResponse response;
  *request.mutable_spec() = BenchSpec((jobs + 1) / 2);
  DieUnlessOk(ToStatus(submitter_->SubmitSweep(&context, request, &response)));
}

}  // namespace foldfarm
