// Streams whose readers are slow, gone or many, over a real connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {
namespace {

// 12 MB: gRPC takes 4 MB of a stream that nobody reads.
constexpr int kLines = 3000;
constexpr size_t kLineBytes = 4000;

class StreamHubTest : public ServiceTest {
 protected:
  // Restarts the server; streams that do not move end quickly.
  void EndStandingStreams() {
    server_.reset();
    options_.stall_limit = absl::Seconds(2);
    Start();
  }

  // A job whose log is larger than what a connection holds unread.
  v1::Lease LeaseWithLog() {
    RegisterDataset();
    Submit("one", 1);
    worker_ = Register("w");
    const v1::Lease lease = Acquire(worker_)->leases(0);
    for (int first = 1; first <= kLines; first += 500) {
      v1::ReportProgressRequest report;
      report.set_token(lease.token());
      for (int i = first; i < first + 500; ++i) {
        v1::LogLine& line = *report.add_lines();
        line.set_sequence(i);
        line.set_text(std::string(kLineBytes, 'x'));
      }
      EXPECT_TRUE(Work(&Workers::ReportProgress, report).ok());
    }
    return lease;
  }

  std::unique_ptr<grpc::ClientReader<v1::GetLogsResponse>> Follow(
      grpc::ClientContext& context) {
    SetTimeout(context, kTimeout);
    v1::GetLogsRequest request;
    request.set_job("s1/model0/0");
    request.set_follow(true);
    return v1::FarmService::NewStub(MakeChannel(server_->endpoint()))
        ->GetLogs(&context, request);
  }

  bool WaitForOpenStreams(int count) {
    return Until([&] { return server_->farm().open_streams() == count; });
  }

  int64_t worker_ = 0;
};

TEST_F(StreamHubTest, ALogIsSentWholeAndInOrder) {
  LeaseWithLog();
  v1::GetLogsRequest request;
  request.set_job("s1/model0/0");
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  const auto reader = farm_->GetLogs(&context, request);
  v1::GetLogsResponse response;
  int lines = 0;
  while (reader->Read(&response)) {
    for (const v1::LogLine& line : response.lines()) {
      EXPECT_EQ(line.sequence(), ++lines);
    }
  }
  EXPECT_EQ(lines, kLines);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(WaitForOpenStreams(0));
}

// Also while nothing changes, so that one reading serves many readers.
TEST_F(StreamHubTest, EveryJobHasALogOfItsOwn) {
  LeaseWithLog();
  const auto read = [this](const std::string& job, int& lines) {
    v1::GetLogsRequest request;
    request.set_job(job);
    grpc::ClientContext context;
    SetTimeout(context, kTimeout);
    const auto reader = farm_->GetLogs(&context, request);
    v1::GetLogsResponse response;
    for (lines = 0; reader->Read(&response);) lines += response.lines_size();
    return ToStatus(reader->Finish());
  };
  int lines = 0;
  EXPECT_TRUE(read("s1/model0/0", lines).ok());
  EXPECT_EQ(lines, kLines);
  EXPECT_TRUE(read("s1/model0/1", lines).ok());
  EXPECT_EQ(lines, 0);
  EXPECT_TRUE(absl::IsNotFound(read("s1/model0/7", lines)));
  EXPECT_TRUE(read("s1/model0/0", lines).ok());
  EXPECT_EQ(lines, kLines);
}

TEST_F(StreamHubTest, AReaderThatStandsStillHoldsNobodyUpAndIsEnded) {
  EndStandingStreams();
  const v1::Lease lease = LeaseWithLog();
  grpc::ClientContext slow_context;
  const auto slow = Follow(slow_context);
  ASSERT_TRUE(WaitForOpenStreams(1));
  // It is in the middle of its first message; another gets all of them.
  grpc::ClientContext context;
  const auto reader = Follow(context);
  v1::GetLogsResponse response;
  int lines = 0;
  while (lines < kLines && reader->Read(&response)) {
    lines += response.lines_size();
  }
  EXPECT_EQ(lines, kLines);
  EXPECT_TRUE(WaitForOpenStreams(1));
  // Who waits for news does not stand still.
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  v1::LogLine& line = *report.add_lines();
  line.set_sequence(kLines + 1);
  line.set_text("the last");
  ASSERT_TRUE(Work(&Workers::ReportProgress, report).ok());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.lines(0).text(), "the last");
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(WaitForOpenStreams(0));
  while (slow->Read(&response)) {
  }
  EXPECT_EQ(slow->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(StreamHubTest, ASweepOfManyJobsComesInSeveralMessages) {
  RegisterDataset();
  ASSERT_EQ(Submit("large", 2500), "s1");  // 5,000 jobs.
  v1::WatchSweepRequest request;
  request.set_sweep("s1");
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  const auto reader = farm_->WatchSweep(&context, request);
  v1::WatchSweepResponse response;
  std::set<std::string> names;
  int messages = 0;
  while (names.size() < 5000 && reader->Read(&response)) {
    ++messages;
    EXPECT_LE(response.jobs_size(), 2000);
    EXPECT_EQ(response.sweep().pending(), 5000);
    for (const v1::Job& job : response.jobs()) {
      EXPECT_TRUE(names.insert(job.name()).second) << job.name();
    }
  }
  EXPECT_EQ(names.size(), 5000u);
  EXPECT_EQ(messages, 3);
  context.TryCancel();
  reader->Finish();
}

// What a caller was told is in what it follows next, whatever others asked.
TEST_F(StreamHubTest, WhoSubmitsAndThenWatchesSeesTheSweep) {
  RegisterDataset();
  const auto watch = [this](const std::string& sweep) {
    v1::WatchSweepRequest request;
    request.set_sweep(sweep);
    grpc::ClientContext context;
    SetTimeout(context, kTimeout);
    const auto reader = farm_->WatchSweep(&context, request);
    v1::WatchSweepResponse response;
    if (!reader->Read(&response)) return reader->Finish();
    context.TryCancel();
    reader->Finish();
    return grpc::Status::OK;
  };
  // As on a machine that is busy: who hears of a change hears late.
  std::atomic<bool> over = false;
  std::vector<std::jthread> busy;
  for (int i = 0; i < 8; ++i) {
    busy.emplace_back([&over] {
      while (!over) {
      }
    });
  }
  const absl::Cleanup rest = [&over] { over = true; };
  for (int i = 1; i <= 100; ++i) {
    const std::string name = absl::StrCat("s", i);
    ASSERT_EQ(watch(name).error_code(), grpc::StatusCode::NOT_FOUND);
    ASSERT_EQ(Submit(absl::StrCat("sweep", i), 1), name);
    const grpc::Status status = watch(name);
    ASSERT_TRUE(status.ok()) << name << ": " << status.error_message();
  }
}

TEST_F(StreamHubTest, AnUnknownSweepAndAStoppedServerEndStreamsAtOnce) {
  RegisterDataset();
  Submit("one", 1);
  v1::WatchSweepRequest request;
  request.set_sweep("on");
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  const auto unknown = farm_->WatchSweep(&context, request);
  v1::WatchSweepResponse response;
  EXPECT_FALSE(unknown->Read(&response));
  const grpc::Status status = unknown->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("did you mean one"));
  // One that never reads and one that waits.
  LeaseWithLog();
  grpc::ClientContext slow_context, waiting_context;
  const auto slow = Follow(slow_context);
  request.set_sweep("one");
  SetTimeout(waiting_context, kTimeout);
  const auto waiting = farm_->WatchSweep(&waiting_context, request);
  ASSERT_TRUE(waiting->Read(&response));
  ASSERT_TRUE(WaitForOpenStreams(2));
  const absl::Duration begin = Clock::Real().Monotonic();
  server_.reset();
  EXPECT_LT(Clock::Real().Monotonic() - begin, absl::Seconds(5));
  while (waiting->Read(&response)) {
  }
  EXPECT_EQ(waiting->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  slow_context.TryCancel();
  slow->Finish();
}

}  // namespace
}  // namespace foldfarm
