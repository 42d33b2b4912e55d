// The calls of workers over one stream, over a real gRPC connection.
#include "coordinator/service/work_stream.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/coordinator/service/service_fixture.h"
#include "tests/coordinator/service/work_stream_client.h"

namespace foldfarm {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

// Longer than any test.
constexpr double kLong = 60;
// As in work_stream.cc: calls of one stream that are taken at a time.
constexpr int kMaxUnderWay = 256;
// Tokens of a heartbeat whose answer has 30 kB: kMaxUnderWay of them are nearly
// twice what gRPC takes of a stream that nobody reads.
constexpr int kManyTokens = 5000;

class WorkStreamTest : public ServiceTest {
 protected:
  // Calls of "WorkerService/METHOD" that ended so, whichever way they came.
  int64_t Count(const std::string& method, Code code = Code::kOk) {
    int64_t count = 0;
    server_->rpc_metrics().ForEach([&](const RpcMetrics::Method& found) {
      if (found.name != "WorkerService/" + method) return;
      count = found.seconds_by_code[static_cast<size_t>(code)]->Read().count();
    });
    return count;
  }

  static v1::WorkRequest LargeHeartbeat(uint64_t id, int64_t session) {
    return HeartbeatCall(id, session, std::vector<int64_t>(kManyTokens, 1));
  }

  // Until so many heartbeats are answered that some of the answers cannot be
  // sent, as nobody reads them.
  bool UntilAnswersAreStuck() {
    return Until([&] { return Count("Heartbeat") >= kMaxUnderWay; });
  }

  static bool Same(const google::protobuf::Message& a,
                   const google::protobuf::Message& b) {
    return MessageDifferencer::Equals(a, b);
  }
};

TEST_F(WorkStreamTest, AnswersAreThoseOfSingleCalls) {
  RegisterDataset();
  Submit("one", 1);
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  const v1::WorkResponse acquired = stream.Call(AcquireCall(7, worker));
  ASSERT_EQ(acquired.acquire_leases().leases_size(), 1);
  const v1::Lease lease = acquired.acquire_leases().leases(0);
  EXPECT_EQ(lease.spec().job(), "s1/model0/0");

  // Repeated as calls of their own they are answered as they were here.
  const v1::WorkRequest report = ReportCall(8, lease.token());
  const v1::WorkResponse reported = stream.Call(report);
  ASSERT_TRUE(reported.has_report_progress()) << reported.error_message();
  EXPECT_TRUE(Same(reported.report_progress(),
                   *Work(&Workers::ReportProgress, report.report_progress())));

  const v1::WorkRequest beat = HeartbeatCall(9, worker, {lease.token(), 1000});
  const v1::WorkResponse beaten = stream.Call(beat);
  ASSERT_EQ(beaten.heartbeat().answers_size(), 2) << beaten.error_message();
  EXPECT_EQ(beaten.heartbeat().answers(0).action(),
            v1::HeartbeatResponse::CONTINUE);
  EXPECT_EQ(beaten.heartbeat().answers(1).action(),
            v1::HeartbeatResponse::STALE);
  EXPECT_TRUE(
      Same(beaten.heartbeat(), *Work(&Workers::Heartbeat, beat.heartbeat())));

  const v1::WorkRequest finish = FinishCall(10, SuccessOf(worker, lease, 0.5f));
  const v1::WorkResponse finished = stream.Call(finish);
  const v1::FinishAttemptResponse& result = finished.finish_attempt();
  EXPECT_EQ(result.job_state(), v1::Job::SUCCEEDED);
  ASSERT_EQ(result.next_leases_size(), 1) << finished.error_message();
  EXPECT_EQ(result.next_leases(0).spec().job(), "s1/model0/1");
  EXPECT_TRUE(
      Same(result, *Work(&Workers::FinishAttempt, finish.finish_attempt())));

  const v1::WorkResponse last = stream.Call(
      FinishCall(11, SuccessOf(worker, result.next_leases(0), 0.5f)));
  EXPECT_EQ(last.finish_attempt().next_leases_size(), 0);
  EXPECT_EQ(GetSweep("one").state(), v1::Sweep::SUCCEEDED);
}

TEST_F(WorkStreamTest, WhoWaitsForWorkHoldsUpNothing) {
  RegisterDataset();
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  ASSERT_TRUE(stream.Send(AcquireCall(1, worker, kLong)));
  EXPECT_TRUE(stream.Call(HeartbeatCall(2, worker)).has_heartbeat());
  Submit("one", 1);
  const v1::WorkResponse acquired = stream.Receive();
  EXPECT_EQ(acquired.id(), 1u);
  EXPECT_EQ(acquired.acquire_leases().leases_size(), 1);
}

TEST_F(WorkStreamTest, AWaitThatIsCancelledEndsWithNothing) {
  RegisterDataset();
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  ASSERT_TRUE(stream.Send(AcquireCall(1, worker, kLong)));
  ASSERT_TRUE(stream.Send(AcquireCall(2, worker, kLong)));
  stream.Cancel(3);  // There is none.
  stream.Cancel(1);
  const v1::WorkResponse cancelled = stream.Receive();
  EXPECT_EQ(cancelled.id(), 1u);
  EXPECT_EQ(cancelled.error_code(), 0);
  EXPECT_TRUE(cancelled.has_acquire_leases());
  EXPECT_EQ(cancelled.acquire_leases().leases_size(), 0);
  stream.Cancel(1);  // It is over.
  EXPECT_TRUE(stream.Call(HeartbeatCall(4, worker)).has_heartbeat());
  // The other one waits on.
  Submit("one", 1);
  const v1::WorkResponse acquired = stream.Receive();
  EXPECT_EQ(acquired.id(), 2u);
  EXPECT_EQ(acquired.acquire_leases().leases_size(), 1);
}

TEST_F(WorkStreamTest, AnErrorIsThatOfItsCall) {
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  const v1::WorkRequest stale = FailCall(1, worker, 1000);
  v1::WorkResponse response = stream.Call(stale);
  EXPECT_EQ(response.error_code(), static_cast<int>(Code::kAborted));
  EXPECT_EQ(response.error_message(),
            std::string(Work(&Workers::FinishAttempt, stale.finish_attempt())
                            .status()
                            .message()));
  EXPECT_FALSE(response.error_message().empty());
  EXPECT_EQ(response.answer_case(), v1::WorkResponse::ANSWER_NOT_SET);
  response = stream.Call(ReportCall(2, 1000));
  EXPECT_EQ(response.error_code(), static_cast<int>(Code::kAborted));
  for (const v1::WorkRequest& unknown :
       {HeartbeatCall(3, worker + 1), AcquireCall(4, worker + 1, kLong)}) {
    response = stream.Call(unknown);
    EXPECT_EQ(response.error_code(), static_cast<int>(Code::kNotFound));
    EXPECT_THAT(response.error_message(), HasSubstr("register again"));
  }
  EXPECT_TRUE(stream.Call(HeartbeatCall(5, worker)).has_heartbeat());
}

TEST_F(WorkStreamTest, AMessageWithoutACallEndsTheStream) {
  WorkStreamClient stream(*workers_);
  v1::WorkRequest nothing;
  nothing.set_id(42);
  ASSERT_TRUE(stream.Send(nothing));
  const grpc::Status status = stream.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("message 42 of the stream"));
}

TEST_F(WorkStreamTest, WhoSendsNoMoreIsStillAnswered) {
  RegisterDataset();
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  ASSERT_TRUE(stream.Send(AcquireCall(1, worker, kLong)));
  ASSERT_TRUE(stream.Send(HeartbeatCall(2, worker)));
  stream.SendNoMore();
  EXPECT_EQ(stream.Receive().id(), 2u);
  Submit("one", 1);
  const v1::WorkResponse acquired = stream.Receive();
  EXPECT_EQ(acquired.id(), 1u);
  EXPECT_EQ(acquired.acquire_leases().leases_size(), 1);
  const grpc::Status status = stream.End();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(WorkStreamTest, WhatIsSentBehindALoneResultIsReadWhenThatIsAnswered) {
  RegisterDataset();
  Submit("one", 1);
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  const v1::Lease lease =
      stream.Call(AcquireCall(1, worker)).acquire_leases().leases(0);
  const v1::FinishAttemptRequest result = SuccessOf(worker, lease, 0.5f);
  // Twice, and nobody waits for an answer.
  ASSERT_TRUE(stream.Send(FinishCall(2, result)));
  ASSERT_TRUE(stream.Send(FinishCall(3, result)));
  ASSERT_TRUE(stream.Send(HeartbeatCall(4, worker)));
  stream.SendNoMore();
  for (const uint64_t id : {2, 3}) {
    const v1::WorkResponse finished = stream.Receive();
    EXPECT_EQ(finished.id(), id);
    EXPECT_EQ(finished.finish_attempt().job_state(), v1::Job::SUCCEEDED)
        << finished.error_message();
  }
  const v1::WorkResponse beaten = stream.Receive();
  EXPECT_EQ(beaten.id(), 4u);
  EXPECT_TRUE(beaten.has_heartbeat()) << beaten.error_message();
  const grpc::Status status = stream.End();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(WorkStreamTest, WhoBreaksOffIsGrantedNothing) {
  RegisterDataset();
  const int64_t gone = Register("gone");
  WorkStreamClient stream(*workers_);
  ASSERT_TRUE(stream.Send(AcquireCall(1, gone, kLong)));
  // Answered behind it, so that it waits by now.
  EXPECT_TRUE(stream.Call(HeartbeatCall(2, gone)).has_heartbeat());
  ASSERT_EQ(Count("AcquireLeases"), 0);
  stream.BreakOff();
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(Until([&] { return Count("AcquireLeases") == 1; }));
  Submit("one", 1);
  const int64_t worker = Register("w");
  for (int i = 0; i < 2; ++i) {
    const auto acquired = Acquire(worker);
    ASSERT_TRUE(acquired.ok()) << acquired.status();
    ASSERT_EQ(acquired->leases_size(), 1);
    EXPECT_EQ(acquired->leases(0).spec().attempt(), 1);
  }
}

TEST_F(WorkStreamTest, ManyCallsMayBeSentBeforeAnAnswerIsRead) {
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  constexpr uint64_t kCalls = 2000;
  for (uint64_t id = 1; id <= kCalls; ++id) {
    ASSERT_TRUE(stream.Send(HeartbeatCall(id, worker)));
  }
  std::set<uint64_t> answered;
  for (uint64_t i = 0; i < kCalls; ++i) {
    const v1::WorkResponse response = stream.Receive();
    ASSERT_TRUE(response.has_heartbeat()) << response.error_message();
    EXPECT_TRUE(answered.insert(response.id()).second) << response.id();
  }
  EXPECT_EQ(*answered.begin(), 1u);
  EXPECT_EQ(*answered.rbegin(), kCalls);
}

TEST_F(WorkStreamTest, WhoReadsLateMissesNothing) {
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  constexpr uint64_t kCalls = 400;
  std::jthread sender([&] {
    for (uint64_t id = 1; id <= kCalls; ++id) {
      if (!stream.Send(LargeHeartbeat(id, worker))) return;
    }
  });
  ASSERT_TRUE(UntilAnswersAreStuck());
  std::set<uint64_t> answered;
  for (uint64_t i = 0; i < kCalls; ++i) {
    const v1::WorkResponse response = stream.Receive();
    ASSERT_EQ(response.heartbeat().answers_size(), kManyTokens);
    EXPECT_TRUE(answered.insert(response.id()).second) << response.id();
  }
  EXPECT_EQ(*answered.begin(), 1u);
  EXPECT_EQ(*answered.rbegin(), kCalls);
}

TEST_F(WorkStreamTest, WhatIsTooMuchIsReadWhenSomethingIsAnswered) {
  RegisterDataset();
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  uint64_t id = 0;
  while (id < kMaxUnderWay - 1) {
    ASSERT_TRUE(stream.Send(AcquireCall(++id, worker, kLong)));
  }
  EXPECT_TRUE(stream.Call(HeartbeatCall(1000, worker)).has_heartbeat());
  ASSERT_TRUE(stream.Send(AcquireCall(++id, worker, kLong)));
  ASSERT_TRUE(stream.Send(HeartbeatCall(1001, worker)));
  // The heartbeat's turn is when one of those that wait has its lease, however
  // long ago it was sent.
  for (int i = 0; i < 5; ++i) Register("other");
  Submit("one", 1);
  EXPECT_EQ(stream.Receive().acquire_leases().leases_size(), 1);
  // The other job's lease may come before or behind it.
  EXPECT_TRUE(stream.Receive().id() == 1001 || stream.Receive().id() == 1001);
}

TEST_F(WorkStreamTest, AStreamMayBeIdleButMustBeRead) {
  server_.reset();
  options_.stall_limit = absl::Seconds(1);
  Start();
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  // Nothing moves for longer than the limit.
  EXPECT_TRUE(stream.Call(AcquireCall(1, worker, 1.5)).has_acquire_leases());
  EXPECT_TRUE(stream.Call(HeartbeatCall(2, worker)).has_heartbeat());
  uint64_t id = 3;
  while (stream.Send(LargeHeartbeat(id, worker))) ++id;
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::CANCELLED);
  WorkStreamClient next(*workers_);
  EXPECT_TRUE(next.Call(HeartbeatCall(1, worker)).has_heartbeat());
}

TEST_F(WorkStreamTest, AStopEndsStreamsAndTheNextCoordinatorTakesNewOnes) {
  const int64_t worker = Register("w");
  WorkStreamClient idle(*workers_);
  WorkStreamClient waiting(*workers_);
  EXPECT_TRUE(idle.Call(HeartbeatCall(1, worker)).has_heartbeat());
  ASSERT_TRUE(waiting.Send(AcquireCall(1, worker, kLong)));
  EXPECT_TRUE(waiting.Call(HeartbeatCall(2, worker)).has_heartbeat());
  const absl::Duration begin = Clock::Real().Monotonic();
  server_.reset();
  EXPECT_LT(Clock::Real().Monotonic() - begin, absl::Seconds(5));
  const v1::WorkResponse empty = waiting.Receive();
  EXPECT_EQ(empty.id(), 1u);
  EXPECT_TRUE(empty.has_acquire_leases()) << empty.error_message();
  EXPECT_EQ(empty.acquire_leases().leases_size(), 0);
  for (WorkStreamClient* stream : {&idle, &waiting}) {
    const grpc::Status status = stream->End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("is stopping"));
  }
  Start();
  WorkStreamClient next(*workers_);
  EXPECT_TRUE(next.Call(HeartbeatCall(1, worker)).has_heartbeat());
}

TEST_F(WorkStreamTest, AStopWaitsForNobodyWhoDoesNotRead) {
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  std::jthread sender([&] {
    uint64_t id = 1;
    while (stream.Send(LargeHeartbeat(id, worker))) ++id;
  });
  ASSERT_TRUE(UntilAnswersAreStuck());
  const absl::Duration begin = Clock::Real().Monotonic();
  server_.reset();
  EXPECT_LT(Clock::Real().Monotonic() - begin, absl::Seconds(5));
  sender.join();
  EXPECT_FALSE(stream.End().ok());
}

TEST_F(WorkStreamTest, CallsAreCountedUnderTheirOwnNames) {
  RegisterDataset();
  Submit("one", 1);
  const int64_t worker = Register("w");
  WorkStreamClient stream(*workers_);
  const v1::WorkResponse acquired = stream.Call(AcquireCall(1, worker));
  ASSERT_EQ(acquired.acquire_leases().leases_size(), 1);
  const v1::Lease& lease = acquired.acquire_leases().leases(0);
  EXPECT_EQ(Count("FinishAttempt"), 0);
  stream.Call(FinishCall(2, SuccessOf(worker, lease, 0.5f)));
  EXPECT_EQ(Count("FinishAttempt"), 1);
  stream.Call(FailCall(3, worker, 1000));
  EXPECT_EQ(Count("FinishAttempt"), 1);
  EXPECT_EQ(Count("FinishAttempt", Code::kAborted), 1);
  EXPECT_EQ(Count("AcquireLeases"), 1);
  // The stream is a call, too.
  EXPECT_EQ(Count("Work"), 0);
  stream.SendNoMore();
  EXPECT_TRUE(stream.End().ok());
  EXPECT_EQ(Count("Work"), 1);
}

}  // namespace
}  // namespace foldfarm
