#include "tests/bench/bare_peer.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/rpc/channel.h"
#include "coordinator/store/sqlite.h"
#include "foldfarm/v1/worker.grpc.pb.h"
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

// The job that ends is the call's token, 0 for none; the next one is the
// answer's lease.
class BareService final : public v1::WorkerService::Service {
 public:
  explicit BareService(std::unique_ptr<Connection> database)
      : database_(std::move(database)), writer_([this] { Write(); }) {}

  grpc::Status FinishAttempt(grpc::ServerContext*,
                             const v1::FinishAttemptRequest* request,
                             v1::FinishAttemptResponse* response) override {
    Waiting waiting{request->token(), 0, {}};
    {
      absl::MutexLock lock(&mu_);
      queue_.push_back(&waiting);
    }
    waiting.stored.WaitForNotification();
    if (waiting.next != 0) response->add_next_leases()->set_token(waiting.next);
    return grpc::Status::OK;
  }

 private:
  struct Waiting {
    int64_t ended;
    int64_t next;
    absl::Notification stored;
  };

  [[noreturn]] void Write() {
    while (true) {
      std::vector<Waiting*> batch;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(
            +[](std::vector<Waiting*>* queue) { return !queue->empty(); },
            &queue_));
        batch.swap(queue_);
      }
      DieUnlessOk(Commit(batch));
      for (Waiting* waiting : batch) waiting->stored.Notify();
      if (database_->log_pages() < kCopyPages) continue;
      DieUnlessOk(database_->Prepare("PRAGMA wal_checkpoint(PASSIVE)").Run());
    }
  }

  absl::Status Commit(const std::vector<Waiting*>& batch) {
    FOLDFARM_RETURN_IF_ERROR(database_->Prepare("BEGIN IMMEDIATE").Run());
    for (Waiting* waiting : batch) {
      if (waiting->ended != 0) {
        FOLDFARM_RETURN_IF_ERROR(
            database_
                ->Prepare("UPDATE job SET state = 5 WHERE id = ? AND state = 3")
                .Bind(waiting->ended)
                .Run());
        FOLDFARM_RETURN_IF_ERROR(
            database_
                ->Prepare("UPDATE attempt SET end_us = 1 WHERE job = ? AND "
                          "attempt = 1")
                .Bind(waiting->ended)
                .Run());
      }
      {
        Statement claim = database_->Prepare(
            "UPDATE job SET state = 3, attempt = attempt + 1 WHERE id = (SELECT"
            " id FROM job WHERE state = 1 ORDER BY priority DESC, id LIMIT 1) "
            "RETURNING id");
        FOLDFARM_ASSIGN_OR_RETURN(const bool found, claim.Step());
        if (!found) continue;
        waiting->next = claim.Int(0);
      }
      FOLDFARM_RETURN_IF_ERROR(
          database_->Prepare("INSERT INTO attempt VALUES(?, 1, NULL)")
              .Bind(waiting->next)
              .Run());
    }
    return database_->Prepare("COMMIT").Run();
  }

  const std::unique_ptr<Connection> database_;
  absl::Mutex mu_;
  std::vector<Waiting*> queue_ ABSL_GUARDED_BY(mu_);
  std::thread writer_;  // Last: uses all of the above.
};

}  // namespace

int BarePeer::Serve(const std::string& database, int jobs) {
  std::unique_ptr<Connection> connection =
      OrDie(Connection::Open(database, /*read_only=*/false));
  DieUnlessOk(connection->Execute(kSchema));
  DieUnlessOk(connection->Execute(absl::StrCat(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i "
      "< ",
      jobs, ") INSERT INTO job SELECT i, 1, 0, 0 FROM n")));
  BareService service(std::move(connection));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::printf("127.0.0.1:%d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

BarePeer::BarePeer(const std::string& parent, int jobs)
    : directory_(JoinPath(parent, NewRandomId())), jobs_(jobs) {
  DieUnlessOk(MakeDirectories(directory_));
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) DieUnlessOk(ErrnoStatus("pipe", "create"));
  SubprocessOptions command;
  command.argv = {JoinPath(ProgramDirectory(), "queue_bench"), kServe,
                  JoinPath(directory_, "bare.db"), absl::StrCat(jobs)};
  command.descriptors = {{1, fds[1]}};
  server_ = OrDie(Subprocess::Spawn(command));
  close(fds[1]);
  char c = 0;
  while (read(fds[0], &c, 1) == 1 && c != '\n') endpoint_ += c;
  close(fds[0]);
}

BarePeer::~BarePeer() {
  server_.reset();
  RemoveRecursively(directory_).IgnoreError();
}

double BarePeer::JobsPerSecond(int workers) {
  std::vector<std::unique_ptr<v1::WorkerService::Stub>> stubs;
  for (int i = 0; i < workers; ++i) {
    const auto channel = MakeChannel(endpoint_);
    // Not a part of what is measured.
    channel->WaitForConnected(gpr_inf_future(GPR_CLOCK_MONOTONIC));
    stubs.push_back(v1::WorkerService::NewStub(channel));
  }
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  const double begin = Now();
  for (const auto& stub : stubs) {
    threads.emplace_back([&done, &stub = *stub] {
      int64_t token = 0;
      do {
        grpc::ClientContext context;
        v1::FinishAttemptRequest request;
        v1::FinishAttemptResponse response;
        request.set_token(token);
        if (!stub.FinishAttempt(&context, request, &response).ok()) {
          DieUnlessOk(absl::UnavailableError("the bare queue hung up"));
        }
        if (token != 0) ++done;
        token = response.next_leases().empty()
                    ? 0
                    : response.next_leases(0).token();
      } while (token != 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = Now() - begin;
  if (done != jobs_) {
    DieUnlessOk(absl::InternalError(absl::StrCat(
        "the bare queue ended ", done.load(), " jobs, expected ", jobs_)));
  }
  return jobs_ / seconds;
}

}  // namespace foldfarm
