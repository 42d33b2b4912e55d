#include "tests/bench/rpc_speed.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/status.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/bench/bench_server.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kWarmUp = absl::Milliseconds(300);
constexpr absl::Duration kMeasured = absl::Seconds(1);
// The number of a message that is flushed before it is answered.
constexpr uint64_t kFlushed = 1;
// Of the file, each flushed in its turn.
constexpr int64_t kBlocks = 64;
constexpr size_t kBlockBytes = 4096;

class EchoService final : public v1::WorkerService::Service {
 public:
  EchoService(std::string file, int fd) : file_(std::move(file)), fd_(fd) {}

  grpc::Status FinishAttempt(grpc::ServerContext*,
                             const v1::FinishAttemptRequest*,
                             v1::FinishAttemptResponse*) override {
    return grpc::Status::OK;
  }

  grpc::Status Work(grpc::ServerContext*,
                    grpc::ServerReaderWriter<v1::WorkResponse, v1::WorkRequest>*
                        stream) override {
    v1::WorkRequest request;
    while (stream->Read(&request)) {
      v1::WorkResponse response;
      response.set_id(request.id());
      response.mutable_finish_attempt();
      if (request.id() == kFlushed) Flush();
      if (!stream->Write(response)) break;
    }
    return grpc::Status::OK;
  }

 private:
  void Flush() {
    static constexpr std::array<char, kBlockBytes> kBytes = {};
    const auto offset =
        static_cast<off_t>(next_++ % kBlocks) * static_cast<off_t>(kBlockBytes);
    if (pwrite(fd_, kBytes.data(), kBytes.size(), offset) < 0 ||
        fdatasync(fd_) != 0) {
      DieUnlessOk(ErrnoStatus(file_, "cannot write or flush"));
    }
  }

  const std::string file_;
  const int fd_;
  std::atomic<int64_t> next_ = 0;
};

// About what a finished job takes on the wire.
v1::FinishAttemptRequest Result() {
  v1::FinishAttemptRequest request;
  request.set_session(1);
  request.set_token(1);
  request.add_artifacts()->set_digest(std::string(64, 'a'));
  (*request.mutable_metrics())["log_loss"] = 0.5;
  return request;
}

// One caller's round trips. False: there are no more.
using RoundTrip = std::function<bool()>;

RoundTrip Call(v1::WorkerService::Stub& stub) {
  return [&stub, request = Result()] {
    grpc::ClientContext context;
    v1::FinishAttemptResponse response;
    DieUnlessOk(ToStatus(stub.FinishAttempt(&context, request, &response)));
    return true;
  };
}

RoundTrip Message(v1::WorkerService::Stub& stub, bool flush) {
  struct Open {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::WorkRequest, v1::WorkResponse>>
        stream;
    v1::WorkRequest request;
    ~Open() { context.TryCancel(); }
  };
  auto open = std::make_shared<Open>();
  open->request.set_id(flush ? kFlushed : kFlushed + 1);
  *open->request.mutable_finish_attempt() = Result();
  open->stream = stub.Work(&open->context);
  return [open] {
    v1::WorkResponse response;
    return open->stream->Write(open->request) && open->stream->Read(&response);
  };
}

double PerSecond(const std::string& endpoint, int callers,
                 const std::function<RoundTrip(v1::WorkerService::Stub&)>& of) {
  std::atomic<int64_t> done = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      const auto stub = ConnectWorker(endpoint);
      const RoundTrip round_trip = of(*stub);
      for (; !stop && round_trip(); ++done) {
      }
      if (!stop) DieUnlessOk(absl::UnavailableError("an echo was lost"));
    });
  }
  absl::SleepFor(kWarmUp);
  const int64_t before = done;
  const double begin = Now();
  absl::SleepFor(kMeasured);
  const double rate = static_cast<double>(done - before) / (Now() - begin);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return rate;
}

}  // namespace

int ServeEcho(const std::string& file) {
  DieUnlessOk(WriteFileDurably(
      file, std::string(kBlockBytes * static_cast<size_t>(kBlocks), 'a')));
  const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) DieUnlessOk(ErrnoStatus(file, "cannot open"));
  EchoService echo(file, fd);
  return Serve({&echo});
}

RpcSpeed MeasureRpc(const std::string& directory) {
  std::string endpoint;
  const std::unique_ptr<Subprocess> server =
      StartServer(kServeEcho, JoinPath(directory, "echo"), endpoint);
  const auto messages = [](bool flush) {
    return
        [flush](v1::WorkerService::Stub& stub) { return Message(stub, flush); };
  };
  RpcSpeed speed;
  speed.calls_1 = PerSecond(endpoint, 1, Call);
  speed.calls_16 = PerSecond(endpoint, 16, Call);
  speed.messages_1 = PerSecond(endpoint, 1, messages(/*flush=*/false));
  speed.messages_16 = PerSecond(endpoint, 16, messages(/*flush=*/false));
  speed.flushed_1 = PerSecond(endpoint, 1, messages(/*flush=*/true));
  return speed;
}

}  // namespace foldfarm
