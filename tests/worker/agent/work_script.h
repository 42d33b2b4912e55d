// The coordinator's end of WorkerService.Work, by the script of a test.
#ifndef FOLDFARM_TESTS_WORKER_AGENT_WORK_SCRIPT_H_
#define FOLDFARM_TESTS_WORKER_AGENT_WORK_SCRIPT_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "foldfarm/v1/worker.grpc.pb.h"

namespace foldfarm {

using ServerStream =
    grpc::ServerReaderWriter<v1::WorkResponse, v1::WorkRequest>;

// A server of WorkerService.Work that does what a test says.
class Script final : public v1::WorkerService::Service {
 public:
  // What is done with each message; a status ends the stream with it.
  using Do = std::function<std::optional<grpc::Status>(const v1::WorkRequest&,
                                                       ServerStream&)>;
  void Set(Do what) {
    absl::MutexLock lock(&mu_);
    do_ = std::move(what);
  }
  // Until the end of the scope, which `what` may borrow from: a call can have
  // its answer, and a test its end, before the server's thread has left `what`.
  [[nodiscard]] auto SetForScope(Do what) {
    Set(std::move(what));
    return absl::MakeCleanup([this] {
      absl::MutexLock lock(&mu_);
      do_ = nullptr;
      mu_.Await(absl::Condition(
          +[](int* running) { return *running == 0; }, &running_));
    });
  }
  int streams() {
    absl::MutexLock lock(&mu_);
    return streams_;
  }

  grpc::Status Work(grpc::ServerContext*, ServerStream* stream) override {
    {
      absl::MutexLock lock(&mu_);
      ++streams_;
    }
    v1::WorkRequest request;
    while (stream->Read(&request)) {
      Do what;
      {
        absl::MutexLock lock(&mu_);
        if (do_ == nullptr) return grpc::Status::OK;
        what = do_;
        ++running_;
      }
      const std::optional<grpc::Status> end = what(request, *stream);
      {
        absl::MutexLock lock(&mu_);
        --running_;
      }
      if (end.has_value()) return *end;
    }
    return grpc::Status::OK;
  }

 private:
  absl::Mutex mu_;
  Do do_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  int streams_ ABSL_GUARDED_BY(mu_) = 0;
};

inline v1::WorkResponse AnswerTo(uint64_t id) {
  v1::WorkResponse response;
  response.set_id(id);
  response.mutable_heartbeat()->set_drained(id % 2 == 0);
  return response;
}

inline std::optional<grpc::Status> AnswerAtOnce(const v1::WorkRequest& request,
                                                ServerStream& stream) {
  stream.Write(AnswerTo(request.id()));
  return std::nullopt;
}

inline Script::Do AnswerWith(grpc::StatusCode code,
                             const std::string& message = "") {
  return [=](const v1::WorkRequest& request,
             ServerStream& stream) -> std::optional<grpc::Status> {
    v1::WorkResponse response;
    response.set_id(request.id());
    response.set_error_code(code);
    response.set_error_message(message);
    stream.Write(response);
    return std::nullopt;
  };
}

inline Script::Do EndWith(grpc::StatusCode code,
                          const std::string& message = "") {
  return [=](const v1::WorkRequest&, ServerStream&) {
    return std::optional(grpc::Status(code, message));
  };
}

inline std::optional<grpc::Status> SayNothing(const v1::WorkRequest&,
                                              ServerStream&) {
  return std::nullopt;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_AGENT_WORK_SCRIPT_H_
