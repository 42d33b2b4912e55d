// Who may do what over a stream of calls, which outlives the token that opened
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/coordinator/service/access_fixture.h"
#include "tests/coordinator/service/work_stream_client.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Code = absl::StatusCode;

class WorkStreamAccessTest : public AccessTest {
 protected:
  static Code CodeOf(const v1::WorkResponse& response) {
    return static_cast<Code>(response.error_code());
  }

  void ReplaceTokens(const std::string& lines) {
    ASSERT_TRUE(WriteFileAtomically(path_, lines).ok());
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  }
};

TEST_F(WorkStreamAccessTest, AnotherWorkersCallsAreRefusedOneByOne) {
  RegisterDataset();
  Submit("sweep", 1);
  As(kGpu1);
  const int64_t owner = *TryRegister("gpu1");
  WorkStreamClient mine(*workers_);
  const v1::WorkResponse acquired = mine.Call(AcquireCall(1, owner));
  ASSERT_EQ(acquired.acquire_leases().leases_size(), 1);
  const int64_t token = acquired.acquire_leases().leases(0).token();

  As(kGpu2);
  const int64_t other = *TryRegister("gpu2");
  WorkStreamClient stream(*workers_);
  for (const v1::WorkRequest& call :
       {AcquireCall(1, owner, 60), HeartbeatCall(2, owner, {token}),
        ReportCall(3, token), FailCall(4, owner, token),
        FailCall(5, other, token), FailCall(6, owner, 1000)}) {
    const v1::WorkResponse refused = stream.Call(call);
    EXPECT_EQ(CodeOf(refused), Code::kPermissionDenied) << call.id();
    EXPECT_THAT(refused.error_message(), HasSubstr("\"gpu1\"")) << call.id();
    EXPECT_EQ(refused.answer_case(), v1::WorkResponse::ANSWER_NOT_SET);
  }
  // Both go on, and the attempt is what it was.
  EXPECT_EQ(stream.Call(AcquireCall(7, other)).acquire_leases().leases_size(),
            1);
  EXPECT_EQ(CodeOf(mine.Call(ReportCall(2, token))), Code::kOk);
}

TEST_F(WorkStreamAccessTest, OnlyAWorkersTokenOpensAStream) {
  for (const char* token : {kPerson, kReader}) {
    As(token);
    WorkStreamClient stream(*workers_);
    const grpc::Status status = stream.End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_THAT(status.error_message(), HasSubstr("may not call Work"));
  }
  As("");
  WorkStreamClient stream(*workers_);
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(WorkStreamAccessTest, AStreamOutlivesItsTokenButMayDoNothingMore) {
  RegisterDataset();
  Submit("sweep", 1);
  As(kGpu1);
  const int64_t worker = *TryRegister("gpu1");
  WorkStreamClient stream(*workers_);
  const v1::WorkResponse acquired = stream.Call(AcquireCall(1, worker));
  ASSERT_EQ(acquired.acquire_leases().leases_size(), 1);
  const int64_t token = acquired.acquire_leases().leases(0).token();
  uint64_t id = 1;
  const auto becomes = [&](Code code) {
    return Until([&] {
      return CodeOf(stream.Call(HeartbeatCall(++id, worker, {token}))) == code;
    });
  };

  ReplaceTokens(absl::StrCat("client anna ", kPerson, "\n"));
  ASSERT_TRUE(becomes(Code::kUnauthenticated));
  for (const v1::WorkRequest& call :
       {AcquireCall(1001, worker, 60), HeartbeatCall(1002, worker),
        ReportCall(1003, token), FailCall(1004, worker, token),
        // Of what nobody knows as well.
        HeartbeatCall(1005, 1000), ReportCall(1006, 1000)}) {
    EXPECT_EQ(CodeOf(stream.Call(call)), Code::kUnauthenticated) << call.id();
  }
  ReplaceTokens(absl::StrCat("client gpu1 ", kGpu1, "\n"));
  ASSERT_TRUE(becomes(Code::kPermissionDenied));
  EXPECT_EQ(CodeOf(stream.Call(FailCall(1007, worker, token))),
            Code::kPermissionDenied);
  ReplaceTokens(absl::StrCat("worker gpu1 ", kGpu1, "\n"));
  ASSERT_TRUE(becomes(Code::kOk));
  EXPECT_EQ(CodeOf(stream.Call(ReportCall(1008, token))), Code::kOk);
  stream.SendNoMore();
  EXPECT_TRUE(stream.End().ok());
}

TEST_F(WorkStreamAccessTest, AWaitThatBeganWithAGoodTokenIsCancelledWithout) {
  As(kGpu1);
  const int64_t worker = *TryRegister("gpu1");
  WorkStreamClient stream(*workers_);
  ASSERT_TRUE(stream.Send(AcquireCall(1, worker, 60)));
  ReplaceTokens(absl::StrCat("client anna ", kPerson, "\n"));
  uint64_t id = 1;
  ASSERT_TRUE(Until([&] {
    return CodeOf(stream.Call(HeartbeatCall(++id, worker))) ==
           Code::kUnauthenticated;
  }));
  stream.Cancel(1);
  const v1::WorkResponse cancelled = stream.Receive();
  EXPECT_EQ(cancelled.id(), 1u);
  EXPECT_EQ(cancelled.acquire_leases().leases_size(), 0);
}

}  // namespace
}  // namespace foldfarm
