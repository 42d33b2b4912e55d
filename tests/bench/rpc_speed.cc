#include "tests/bench/rpc_speed.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
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

// A file whose blocks are overwritten and flushed one by one.
class FlushedFile {
 public:
  explicit FlushedFile(const std::string& path) : path_(path) {
    DieUnlessOk(WriteFileDurably(
        path, std::string(kBlockBytes * static_cast<size_t>(kBlocks), 'a')));
    fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd_ < 0) DieUnlessOk(ErrnoStatus(path, "cannot open"));
  }

  void Flush() {
    static constexpr std::array<char, kBlockBytes> kBytes = {};
    const auto offset =
        static_cast<off_t>(next_++ % kBlocks) * static_cast<off_t>(kBlockBytes);
    if (pwrite(fd_, kBytes.data(), kBytes.size(), offset) < 0 ||
        fdatasync(fd_) != 0) {
      DieUnlessOk(ErrnoStatus(path_, "cannot write or flush"));
    }
  }

 private:
  const std::string path_;
  int fd_ = -1;
  std::atomic<int64_t> next_ = 0;
};

// Reads the next message when it has sent the answer, as the coordinator does
// with a worker that runs one attempt.
class EchoStream final
    : public grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse> {
 public:
  explicit EchoStream(FlushedFile& file) : file_(file) { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    response_.set_id(request_.id());
    response_.mutable_finish_attempt();
    if (request_.id() == kFlushed) file_.Flush();
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  FlushedFile& file_;
  v1::WorkRequest request_;
  v1::WorkResponse response_;
};

class EchoService final : public v1::WorkerService::WithCallbackMethod_Work<
                              v1::WorkerService::Service> {
 public:
  explicit EchoService(const std::string& file) : file_(file) {}

  grpc::Status FinishAttempt(grpc::ServerContext*,
                             const v1::FinishAttemptRequest*,
                             v1::FinishAttemptResponse*) override {
    return grpc::Status::OK;
  }
  grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* Work(
      grpc::CallbackServerContext*) override {
    return new EchoStream(file_);
  }

 private:
  FlushedFile file_;
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

// Counts for a while what `done` counts.
double RateOf(const std::atomic<int64_t>& done) {
  absl::SleepFor(kWarmUp);
  const int64_t before = done;
  const double begin = Now();
  absl::SleepFor(kMeasured);
  return static_cast<double>(done - before) / (Now() - begin);
}

double CallsPerSecond(const std::string& endpoint, int callers) {
  std::atomic<int64_t> done = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      const auto stub = ConnectWorker(endpoint);
      const v1::FinishAttemptRequest request = Result();
      for (; !stop; ++done) {
        grpc::ClientContext context;
        v1::FinishAttemptResponse response;
        DieUnlessOk(
            ToStatus(stub->FinishAttempt(&context, request, &response)));
      }
    });
  }
  const double rate = RateOf(done);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return rate;
}

// A stream that sends, and reads the answer, over and over.
class Echoed {
 public:
  Echoed(const std::string& endpoint, bool flush, grpc::CompletionQueue* queue,
         std::atomic<int64_t>& done)
      : done_(done), stub_(ConnectWorker(endpoint)) {
    request_.set_id(flush ? kFlushed : kFlushed + 1);
    *request_.mutable_finish_attempt() = Result();
    stream_ = stub_->AsyncWork(&context_, queue, this);
  }

  // One thing is under way at a time, and its end begins the next: the stream,
  // what is sent, what is read.
  void Next(bool ok) {
    if (!ok) DieUnlessOk(absl::UnavailableError("an echo was lost"));
    if (reading_) ++done_;
    reading_ = open_ && !reading_;
    open_ = true;
    if (reading_) {
      stream_->Read(&response_, this);
    } else {
      stream_->Write(request_, this);
    }
  }
  void Cancel() { context_.TryCancel(); }

 private:
  std::atomic<int64_t>& done_;
  grpc::ClientContext context_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  std::unique_ptr<
      grpc::ClientAsyncReaderWriter<v1::WorkRequest, v1::WorkResponse>>
      stream_;
  v1::WorkRequest request_;
  v1::WorkResponse response_;
  bool open_ = false;
  bool reading_ = false;
};

double MessagesPerSecond(const std::string& endpoint, int streams, bool flush) {
  grpc::CompletionQueue queue;
  std::atomic<int64_t> done = 0;
  std::vector<std::unique_ptr<Echoed>> echoed;
  for (int i = 0; i < streams; ++i) {
    echoed.push_back(std::make_unique<Echoed>(endpoint, flush, &queue, done));
  }
  std::atomic<bool> stop = false;
  void* tag = nullptr;
  bool ok = false;
  std::thread thread([&] {
    // Of each, one thing is under way.
    for (int left = streams; left > 0 && queue.Next(&tag, &ok);) {
      if (stop) {
        --left;
      } else {
        static_cast<Echoed*>(tag)->Next(ok);
      }
    }
  });
  const double rate = RateOf(done);
  stop = true;
  for (const auto& stream : echoed) stream->Cancel();
  thread.join();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return rate;
}

}  // namespace

int ServeEcho(const std::string& file) {
  EchoService echo(file);
  return Serve({&echo});
}

RpcSpeed MeasureRpc(const std::string& directory) {
  std::string endpoint;
  const std::unique_ptr<Subprocess> server =
      StartServer(kServeEcho, JoinPath(directory, "echo"), endpoint);
  RpcSpeed speed;
  speed.calls_1 = CallsPerSecond(endpoint, 1);
  speed.calls_16 = CallsPerSecond(endpoint, 16);
  speed.messages_1 = MessagesPerSecond(endpoint, 1, /*flush=*/false);
  speed.messages_16 = MessagesPerSecond(endpoint, 16, /*flush=*/false);
  speed.flushed_1 = MessagesPerSecond(endpoint, 1, /*flush=*/true);
  return speed;
}

}  // namespace foldfarm
