// A worker's end of one stream (WorkerService.Work), and what it says on it.
#ifndef FOLDFARM_TESTS_COORDINATOR_SERVICE_WORK_STREAM_CLIENT_H_
#define FOLDFARM_TESTS_COORDINATOR_SERVICE_WORK_STREAM_CLIENT_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {

// Breaks off when it is destroyed, unless it has ended; ends by itself, with
// DEADLINE_EXCEEDED, when a test takes too long.
class WorkStreamClient {
 public:
  explicit WorkStreamClient(v1::WorkerService::Stub& workers) {
    SetTimeout(context_, kTimeout);
    stream_ = workers.Work(&context_);
  }
  ~WorkStreamClient() { context_.TryCancel(); }
  WorkStreamClient(const WorkStreamClient&) = delete;
  WorkStreamClient& operator=(const WorkStreamClient&) = delete;

  // False: the stream has ended.
  bool Send(const v1::WorkRequest& request) { return stream_->Write(request); }
  void Cancel(uint64_t id) {
    v1::WorkRequest request;
    request.set_id(id);
    request.set_cancel(true);
    EXPECT_TRUE(Send(request));
  }
  // The next answer to anything.
  v1::WorkResponse Receive() {
    v1::WorkResponse response;
    EXPECT_TRUE(stream_->Read(&response)) << "the stream has ended";
    return response;
  }
  // The answer to `request`, when nothing else is under way.
  v1::WorkResponse Call(const v1::WorkRequest& request) {
    EXPECT_TRUE(Send(request));
    v1::WorkResponse response = Receive();
    EXPECT_EQ(response.id(), request.id());
    return response;
  }

  void SendNoMore() { EXPECT_TRUE(stream_->WritesDone()); }
  void BreakOff() { context_.TryCancel(); }
  // How the stream ends, once what was answered before is read.
  grpc::Status End() {
    v1::WorkResponse response;
    while (stream_->Read(&response)) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkRequest, v1::WorkResponse>>
      stream_;
};

inline v1::WorkRequest AcquireCall(uint64_t id, int64_t session,
                                   double wait_seconds = 0) {
  v1::WorkRequest request;
  request.set_id(id);
  v1::AcquireLeasesRequest& call = *request.mutable_acquire_leases();
  call.set_session(session);
  call.set_free_slots(1);
  call.set_wait_seconds(wait_seconds);
  return request;
}

inline v1::WorkRequest HeartbeatCall(uint64_t id, int64_t session,
                                     const std::vector<int64_t>& tokens = {}) {
  v1::WorkRequest request;
  request.set_id(id);
  v1::HeartbeatRequest& call = *request.mutable_heartbeat();
  call.set_session(session);
  call.mutable_tokens()->Add(tokens.begin(), tokens.end());
  return request;
}

inline v1::WorkRequest ReportCall(uint64_t id, int64_t token) {
  v1::WorkRequest request;
  request.set_id(id);
  v1::ReportProgressRequest& call = *request.mutable_report_progress();
  call.set_token(token);
  call.set_started(true);
  return request;
}

inline v1::WorkRequest FinishCall(uint64_t id, v1::FinishAttemptRequest call) {
  v1::WorkRequest request;
  request.set_id(id);
  *request.mutable_finish_attempt() = std::move(call);
  return request;
}

inline v1::WorkRequest FailCall(uint64_t id, int64_t session, int64_t token) {
  v1::FinishAttemptRequest call;
  call.set_session(session);
  call.set_token(token);
  call.set_outcome(v1::Attempt::FAILED);
  return FinishCall(id, std::move(call));
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_SERVICE_WORK_STREAM_CLIENT_H_
