// Calls over one stream, to a server of this process that does what each test
// says.
#include "worker/agent/work_calls.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/rpc/channel.h"
#include "tests/testing/loopback_server.h"
#include "tests/worker/agent/work_script.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(30);

class WorkCallsTest : public ::testing::Test {
 protected:
  WorkCallsTest() {
    script_.Set(AnswerAtOnce);
    int port = 0;
    server_ = ServeOnLoopback({&script_}, port);
    endpoint_ = absl::StrCat("127.0.0.1:", port);
    stub_ = v1::WorkerService::NewStub(MakeChannel(endpoint_));
    calls_ = std::make_unique<WorkCalls>(*stub_, Clock::Real());
  }
  ~WorkCallsTest() override {
    calls_.reset();
    server_->Shutdown();
  }

  absl::StatusOr<v1::WorkResponse> Call(uint64_t id,
                                        absl::Duration timeout = kLong) {
    v1::WorkRequest request;
    request.set_id(id);
    request.mutable_heartbeat();
    return calls_->Call(std::move(request), timeout);
  }
  absl::StatusOr<v1::WorkResponse> Call() { return Call(calls_->NewId()); }

  Script script_;
  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  std::unique_ptr<WorkCalls> calls_;
};

TEST_F(WorkCallsTest, AllCallsShareAStream) {
  for (int i = 0; i < 5; ++i) {
    const auto response = Call();
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_TRUE(response->has_heartbeat());
  }
  EXPECT_EQ(script_.streams(), 1);
}

TEST_F(WorkCallsTest, AnswersFindTheirCallsInAnyOrder) {
  // Answered from the last to the first.
  std::vector<uint64_t> asked;
  const auto script = script_.SetForScope(
      [&](const v1::WorkRequest& request,
          ServerStream& stream) -> std::optional<grpc::Status> {
        asked.push_back(request.id());
        if (asked.size() < 4) return std::nullopt;
        for (auto id = asked.rbegin(); id != asked.rend(); ++id) {
          stream.Write(AnswerTo(*id));
        }
        return std::nullopt;
      });
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const uint64_t id = calls_->NewId();
      const auto response = Call(id);
      ASSERT_TRUE(response.ok()) << response.status();
      EXPECT_EQ(response->id(), id);
      EXPECT_EQ(response->heartbeat().drained(), id % 2 == 0);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(WorkCallsTest, AnErrorIsTheCallsOwn) {
  script_.Set(AnswerWith(grpc::StatusCode::ABORTED, "attempt 7 is stale"));
  EXPECT_EQ(Call().status(), absl::AbortedError("attempt 7 is stale"));
  script_.Set(AnswerAtOnce);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(script_.streams(), 1);
}

TEST_F(WorkCallsTest, AStreamThatBreaksOffFailsItsCallsAndIsOpenedAnew) {
  script_.Set(EndWith(grpc::StatusCode::CANCELLED));
  EXPECT_TRUE(absl::IsUnavailable(Call().status())) << Call().status();
  script_.Set(EndWith(grpc::StatusCode::OK));
  EXPECT_TRUE(absl::IsUnavailable(Call().status())) << Call().status();
  script_.Set(AnswerAtOnce);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(script_.streams(), 3);
}

// It says something of the stream and nothing of them: they are repeated.
TEST_F(WorkCallsTest, WhatEndsAStreamIsNoAnswerToItsCalls) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::ABORTED,
        grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::NOT_FOUND}) {
    script_.Set(EndWith(code, "message 7 has no call"));
    const absl::Status status = Call().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("message 7"));
  }
}

TEST_F(WorkCallsTest, AStreamThatIsRefusedSaysWhy) {
  script_.Set(EndWith(grpc::StatusCode::PERMISSION_DENIED, "not you"));
  EXPECT_EQ(Call().status(), absl::PermissionDeniedError("not you"));
}

TEST_F(WorkCallsTest, ACoordinatorWithoutStreamsIsWaitedFor) {
  script_.Set(EndWith(grpc::StatusCode::UNIMPLEMENTED));
  absl::Status status = Call().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("older"));
  // One that asks for tokens refuses what it does not know.
  script_.Set(EndWith(grpc::StatusCode::PERMISSION_DENIED,
                      "no role may call /a.B/Work"));
  status = Call().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("older"));
}

// A stream carries the token that it was opened with.
TEST_F(WorkCallsTest, AfterARefusalTheNextCallShowsItsTokenAnew) {
  script_.Set(AnswerWith(grpc::StatusCode::UNAUTHENTICATED));
  EXPECT_TRUE(absl::IsUnauthenticated(Call().status()));
  script_.Set(AnswerAtOnce);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(script_.streams(), 2);
}

TEST_F(WorkCallsTest, ARefusalIsThatOfAllCallsOfTheStream) {
  std::vector<uint64_t> waiting;
  const auto script = script_.SetForScope(
      [&](const v1::WorkRequest& request,
          ServerStream& stream) -> std::optional<grpc::Status> {
        waiting.push_back(request.id());
        if (waiting.size() < 2) return std::nullopt;
        v1::WorkResponse response;
        response.set_id(request.id());
        response.set_error_code(grpc::StatusCode::PERMISSION_DENIED);
        stream.Write(response);
        return std::nullopt;
      });
  std::thread other(
      [&] { EXPECT_TRUE(absl::IsPermissionDenied(Call().status())); });
  EXPECT_TRUE(absl::IsPermissionDenied(Call().status()));
  other.join();
}

TEST_F(WorkCallsTest, ASilentServerIsLeftForANewStream) {
  script_.Set(SayNothing);
  const absl::Status status =
      Call(calls_->NewId(), absl::Milliseconds(50)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("50ms"));
  script_.Set(AnswerAtOnce);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(script_.streams(), 2);
}

TEST_F(WorkCallsTest, WhoWaitsLongerIsNotDisturbedByWhoGivesUp) {
  // The first call is answered when a second one has come and given up, and a
  // third is seen.
  absl::Mutex mu;
  ServerStream* first = nullptr;
  absl::Notification asked;
  const uint64_t patient = calls_->NewId();
  const auto script = script_.SetForScope(
      [&](const v1::WorkRequest& request,
          ServerStream& stream) -> std::optional<grpc::Status> {
        absl::MutexLock lock(&mu);
        if (request.id() == patient) {
          first = &stream;
          asked.Notify();
        } else if (&stream != first) {
          first->Write(AnswerTo(patient));
          stream.Write(AnswerTo(request.id()));
        }
        return std::nullopt;
      });
  std::thread waiter([&] {
    const auto response = Call(patient);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->id(), patient);
  });
  asked.WaitForNotification();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      Call(calls_->NewId(), absl::Milliseconds(50)).status()));
  EXPECT_TRUE(Call().ok());
  waiter.join();
  EXPECT_EQ(script_.streams(), 2);
}

TEST_F(WorkCallsTest, WithoutAServerCallsFailAtOnce) {
  server_->Shutdown();
  EXPECT_TRUE(absl::IsUnavailable(Call().status())) << Call().status();
}

TEST_F(WorkCallsTest, ACancelledCallHearsWhatItWasGranted) {
  std::vector<uint64_t> cancelled;
  const uint64_t id = calls_->NewId();
  std::thread canceller;
  const absl::Cleanup join = [&] { canceller.join(); };
  const auto script = script_.SetForScope(
      [&](const v1::WorkRequest& request,
          ServerStream& stream) -> std::optional<grpc::Status> {
        if (request.call_case() != v1::WorkRequest::kCancel) {
          // It waits here for work.
          canceller = std::thread([&] { calls_->Cancel(id); });
          return std::nullopt;
        }
        cancelled.push_back(request.id());
        v1::WorkResponse response;
        response.set_id(request.id());
        response.mutable_acquire_leases()->add_leases()->set_token(5);
        stream.Write(response);
        return std::nullopt;
      });
  const auto response = Call(id);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->acquire_leases().leases(0).token(), 5);
  EXPECT_THAT(cancelled, ElementsAre(id));
}

TEST_F(WorkCallsTest, ACancelledCallDoesNotWaitForASilentServer) {
  const uint64_t id = calls_->NewId();
  std::thread canceller;
  const absl::Cleanup join = [&] { canceller.join(); };
  const auto script =
      script_.SetForScope([&](const v1::WorkRequest& request, ServerStream&) {
        if (request.call_case() != v1::WorkRequest::kCancel) {
          canceller = std::thread([&] { calls_->Cancel(id); });
        }
        return std::optional<grpc::Status>();
      });
  // Long before its own time.
  const absl::Status status = Call(id, absl::Hours(1)).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_F(WorkCallsTest, ACallThatIsCancelledBeforeItComesIsNotSent) {
  const uint64_t id = calls_->NewId();
  calls_->Cancel(id);
  EXPECT_TRUE(absl::IsCancelled(Call(id).status()));
  EXPECT_EQ(script_.streams(), 0);
  EXPECT_TRUE(Call().ok());
}

// The last who holds a channel waits for gRPC's threads; none of those may be
// it.
TEST_F(WorkCallsTest, ItsStreamsAreGoneBeforeItIs) {
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(Call().ok());
    calls_.reset();
    std::weak_ptr<grpc::Channel> channel;
    {
      const auto made = MakeChannel(endpoint_);
      channel = made;
      stub_ = v1::WorkerService::NewStub(made);
    }
    calls_ = std::make_unique<WorkCalls>(*stub_, Clock::Real());
    EXPECT_TRUE(Call().ok());
    calls_.reset();
    stub_.reset();
    EXPECT_TRUE(channel.expired()) << "round " << i;
    stub_ = v1::WorkerService::NewStub(MakeChannel(endpoint_));
    calls_ = std::make_unique<WorkCalls>(*stub_, Clock::Real());
  }
}

TEST_F(WorkCallsTest, ManyCallersBreakNothing) {
  // Each stream ends after a hundred messages, with calls under way.
  int seen = 0;
  absl::Mutex mu;
  const auto script = script_.SetForScope(
      [&](const v1::WorkRequest& request,
          ServerStream& stream) -> std::optional<grpc::Status> {
        absl::MutexLock lock(&mu);
        if (++seen % 100 == 0) return grpc::Status::OK;
        return AnswerAtOnce(request, stream);
      });
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        const uint64_t id = calls_->NewId();
        const auto response = Call(id);
        if (response.ok()) {
          EXPECT_EQ(response->id(), id);
        } else {
          EXPECT_TRUE(absl::IsUnavailable(response.status()))
              << response.status();
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace foldfarm
