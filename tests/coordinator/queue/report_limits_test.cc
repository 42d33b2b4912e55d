#include "coordinator/queue/report_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// Clears the screen, sets the clipboard, returns the carriage; CSI as C1.
constexpr char kHostile[] =
    "\x1b[2J\x1b]52;c;eA==\x07\r\xc2\x9b"
    "1m\t\xc2\xb5g";
constexpr char kHarmless[] = "?[2J?]52;c;eA==????1m\t\xc2\xb5g";

v1::ReportProgressRequest HostileReport(int64_t token) {
  v1::ReportProgressRequest report;
  report.set_token(token);
  report.set_started(true);
  report.set_device(kHostile);
  v1::EpochMetrics& metrics = *report.add_epochs();
  metrics.set_epoch(1);
  (*metrics.mutable_values())[kHostile] = 0.5;
  v1::LogLine& line = *report.add_lines();
  line.set_sequence(1);
  line.set_level(kHostile);
  line.set_text(kHostile);
  return report;
}

TEST(ReportLimitsTest, ReportsAreCleanedAndCut) {
  v1::ReportProgressRequest report = HostileReport(1);
  report.add_lines()->set_text(std::string(8191, 'x') + "\xc2\xb5");
  ClipReport(report);
  EXPECT_EQ(report.device(), kHarmless);
  EXPECT_EQ(report.lines(0).level(), kHarmless);
  EXPECT_EQ(report.lines(0).text(), kHarmless);
  EXPECT_EQ(report.lines(1).text(), std::string(8191, 'x'));
  EXPECT_THAT(report.epochs(0).values(),
              UnorderedElementsAre(Pair(kHarmless, 0.5)));
}

TEST(ReportLimitsTest, EndsAreCleanedAndCut) {
  v1::FinishAttemptRequest request;
  request.set_error(std::string(5000, '\x1b'));
  for (int i = 0; i < 201; ++i) request.add_log_tail(kHostile);
  (*request.mutable_metrics())["log_loss"] = 0.5;
  (*request.mutable_metrics())["a\x1b"] = 1;
  (*request.mutable_metrics())["a?"] = 2;
  ClipFinish(request);
  EXPECT_EQ(request.error(), std::string(4096, '?'));
  EXPECT_THAT(request.log_tail(), SizeIs(200));
  EXPECT_THAT(request.log_tail(), Each(Eq(kHarmless)));
  EXPECT_THAT(request.metrics(),
              UnorderedElementsAre(Pair("log_loss", 0.5), Pair("a?", 2)));
}

TEST(ReportLimitsTest, AFaultIsCutBetweenCharacters) {
  v1::HeartbeatRequest request;
  request.set_fault(std::string(499, 'x') + "\xc2\xb5");
  ClipHeartbeat(request);
  EXPECT_EQ(request.fault(), std::string(499, 'x'));
}

TEST(ReportLimitsTest, WhatIsCleanStaysWhereItIs) {
  v1::FinishAttemptRequest request;
  request.set_error(std::string(1000, 'e'));
  request.add_log_tail(std::string(1000, 't'));
  const char* const error = request.error().data();
  const char* const line = request.log_tail(0).data();
  ClipFinish(request);
  EXPECT_EQ(request.error().data(), error);
  EXPECT_EQ(request.log_tail(0).data(), line);
  EXPECT_EQ(request.error(), std::string(1000, 'e'));
}

using HostileWorkerTest = QueueFixture;

TEST_F(HostileWorkerTest, FillsNoResultWithMetrics) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  const int64_t session = Register("w");
  // Of an attempt that says it succeeded.
  struct Outcome {
    absl::Status status, repeated;
    JobRow job;
    size_t stored = 0;
  };
  const auto finish = [&](int metrics, size_t name_bytes) {
    const v1::Lease lease = Acquire(session)[0];
    v1::FinishAttemptRequest request = Success(session, lease);
    request.clear_metrics();
    for (int i = 0; i < metrics; ++i) {
      std::string name = absl::StrCat(i, "-");
      name.resize(name_bytes, 'x');
      (*request.mutable_metrics())[name] = i;
    }
    Outcome outcome;
    outcome.status = Finish(request).status();
    outcome.repeated = Finish(request).status();
    outcome.job = Job(lease);
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      outcome.stored =
                          reader.FindAttempt(FencingToken{lease.token()})
                              ->value()
                              .metrics.size();
                      return absl::OkStatus();
                    })
                    .ok());
    return outcome;
  };
  const Outcome most = finish(256, 128);
  EXPECT_TRUE(most.status.ok()) << most.status;
  EXPECT_EQ(most.job.state, v1::Job::SUCCEEDED);
  EXPECT_EQ(most.stored, 256u);

  const Outcome many = finish(257, 8);
  EXPECT_EQ(many.status.message(),
            "the result has 257 metrics, expected at most 256");
  const Outcome wordy = finish(1, 129);
  EXPECT_THAT(std::string(wordy.status.message()),
              HasSubstr("has 129 bytes, expected at most 128"));
  for (const Outcome& refused : {many, wordy}) {
    EXPECT_EQ(refused.status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(refused.repeated.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(refused.job.state, v1::Job::PENDING);
    EXPECT_EQ(refused.job.failed_count, 1);
    EXPECT_EQ(refused.stored, 0u);
  }
}

TEST_F(HostileWorkerTest, ReachesNoTerminal) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  v1::RegisterRequest worker;
  worker.set_name("w");
  worker.set_slots(1);
  worker.set_host(kHostile);
  worker.set_version(kHostile);
  worker.add_devices(kHostile);
  const auto registered = Call(&JobQueue::Register, worker);
  ASSERT_TRUE(registered.ok()) << registered.status();
  const int64_t session = registered->session();
  const auto leases = Acquire(session);
  ASSERT_THAT(leases, SizeIs(1));
  const v1::Lease& lease = leases[0];
  ASSERT_TRUE(
      Call(&JobQueue::ReportProgress, HostileReport(lease.token())).ok());
  v1::FinishAttemptRequest failure = Failure(session, lease);
  failure.set_error(kHostile);
  failure.add_log_tail(kHostile);
  ASSERT_TRUE(Finish(failure).ok());
  v1::HeartbeatRequest beat;
  beat.set_session(session);
  beat.set_fault(kHostile);
  ASSERT_TRUE(Call(&JobQueue::Heartbeat, beat).ok());

  const auto workers = queue_->Workers();
  ASSERT_THAT(workers, SizeIs(1));
  EXPECT_EQ(workers[0].row.host, kHarmless);
  EXPECT_EQ(workers[0].row.version, kHarmless);
  EXPECT_THAT(workers[0].row.devices, ElementsAre(kHarmless));
  ASSERT_TRUE(workers[0].hold.has_value());
  EXPECT_EQ(workers[0].hold->reason, kHarmless);
  const JobId job = Job(lease).id;
  const FencingToken token{lease.token()};
  const absl::Status read =
      store_->Read([&](const Reader& reader) -> absl::Status {
        const AttemptRow attempt = reader.FindAttempt(token)->value();
        EXPECT_EQ(attempt.device, kHarmless);
        EXPECT_EQ(attempt.error, kHarmless);
        EXPECT_THAT(attempt.log_tail, ElementsAre(kHarmless));
        const auto lines = reader.ListLog(job, FencingToken{0}, 0, 10);
        if (!lines.ok()) return lines.status();
        EXPECT_THAT(*lines, SizeIs(1));
        for (const v1::LogLine& line : *lines) {
          EXPECT_EQ(line.level(), kHarmless);
          EXPECT_EQ(line.text(), kHarmless);
        }
        const auto metrics = reader.ListMetrics(job);
        if (!metrics.ok()) return metrics.status();
        EXPECT_THAT(*metrics, SizeIs(1));
        for (const v1::EpochMetrics& epoch : *metrics) {
          EXPECT_THAT(epoch.values(), ElementsAre(Pair(kHarmless, 0.5)));
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(read.ok()) << read;
}

}  // namespace
}  // namespace foldfarm
