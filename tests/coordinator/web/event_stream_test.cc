#include "coordinator/web/event_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/rpc/retry.h"
#include "tests/coordinator/web/web_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class EventStreamTest : public WebTest {
 protected:
  // One epoch and one line of the attempt.
  void Report(const v1::Lease& lease, int epoch, const std::string& line) {
    v1::ReportProgressRequest request;
    request.set_token(lease.token());
    request.set_started(true);
    request.set_epochs_total(10);
    v1::EpochMetrics& metrics = *request.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["log_loss"] = 1.0 / epoch;
    v1::LogLine& log = *request.add_lines();
    log.set_sequence(epoch);
    log.set_level("info");
    log.set_text(line);
    const auto reported = Work(&Workers::ReportProgress, request);
    ASSERT_TRUE(reported.ok()) << reported.status();
  }
};

TEST_F(EventStreamTest, TellsEverythingFirstAndThenWhatChanges) {
  RegisterDataset();
  Submit("first", 2);
  const int64_t session = Register("w1");
  EventReader page(web_->endpoint(), "?sweep=s1&model=model0");
  ASSERT_TRUE(page.WaitFor("\nid: "));
  EXPECT_EQ(page.status(), 200);
  for (const char* event :
       {"event: hello", "event: sweeps", "event: workers", "event: jobs",
        "\"name\":\"s1/model1/1\"", "\"name\":\"w1\"", "retry: "}) {
    EXPECT_THAT(page.text(), HasSubstr(event));
  }
  const size_t before = page.text().size();
  const auto leases = Acquire(session);
  ASSERT_EQ(leases->leases_size(), 1);
  Report(leases->leases(0), 1, "begun");
  ASSERT_TRUE(page.WaitFor("event: curves"));
  ASSERT_TRUE(page.WaitFor("\"busySlots\":1"));
  ASSERT_TRUE(Succeed(session, leases->leases(0), 0.5f).ok());
  ASSERT_TRUE(page.WaitFor("\"state\":\"SUCCEEDED\""));
  // The jobs that did not change are not told again.
  EXPECT_THAT(page.text().substr(before),
              Not(HasSubstr("\"name\":\"s1/model1/1\"")));
}

TEST_F(EventStreamTest, FollowsAJobsEpochsAndLog) {
  RegisterDataset();
  Submit("first", 1);
  const auto leases = Acquire(Register("w1"));
  Report(leases->leases(0), 1, "one");
  EventReader page(web_->endpoint(), "?job=s1/model0/0");
  ASSERT_TRUE(page.WaitFor("\"text\":\"one\""));
  EXPECT_THAT(page.text(), HasSubstr("event: job\n"));
  EXPECT_THAT(page.text(), HasSubstr("event: metrics\n"));
  Report(leases->leases(0), 2, "two");
  ASSERT_TRUE(page.WaitFor("\"text\":\"two\""));
  ASSERT_TRUE(page.WaitFor("\"epoch\":2,\"epochs\":10"));
  // Lines are told once.
  const std::string all = page.text();
  EXPECT_EQ(all.find("\"text\":\"one\""), all.rfind("\"text\":\"one\""));
}

TEST_F(EventStreamTest, WhoReconnectsGetsOnlyWhatWasMissed) {
  RegisterDataset();
  Submit("first", 1);
  const auto leases = Acquire(Register("w1"));
  Report(leases->leases(0), 1, "one");
  std::string id;
  {
    EventReader page(web_->endpoint(), "?job=s1/model0/0");
    ASSERT_TRUE(page.WaitFor("\nid: "));
    id = page.LastId();
  }
  Report(leases->leases(0), 2, "two");
  EventReader again(web_->endpoint(), "?job=s1/model0/0",
                    {{"Last-Event-ID", id}});
  ASSERT_TRUE(again.WaitFor("\"text\":\"two\""));
  EXPECT_THAT(again.text(), Not(HasSubstr("\"text\":\"one\"")));
  EXPECT_THAT(again.text(), HasSubstr("\"sequence\":\"2\""));
  EventReader garbled(web_->endpoint(), "?job=s1/model0/0",
                      {{"Last-Event-ID", "1.2.x"}});
  EXPECT_TRUE(garbled.WaitFor("\"text\":\"one\""));
}

TEST_F(EventStreamTest, TextOfTheFarmForgesNoEvents) {
  RegisterDataset();
  Submit("first", 1);
  const int64_t session = Register("w1");
  const auto leases = Acquire(session);
  const std::string hostile =
      "<img src=x onerror=alert(1)>\r\n\r\nevent: forged\ndata: {}\n\n";
  Report(leases->leases(0), 1, hostile);
  v1::FinishAttemptRequest finish;
  finish.set_session(session);
  finish.set_token(leases->leases(0).token());
  finish.set_outcome(v1::Attempt::FAILED);
  finish.set_failure_kind(v1::FAILURE_KIND_PERMANENT);
  finish.set_error(hostile);
  ASSERT_TRUE(Work(&Workers::FinishAttempt, finish).ok());
  EventReader page(web_->endpoint(), "?sweep=s1&job=s1/model0/0");
  ASSERT_TRUE(page.WaitFor("event: log"));
  ASSERT_TRUE(page.WaitFor("\nid: "));
  EXPECT_THAT(page.text(), Not(HasSubstr("\nevent: forged")));
  EXPECT_THAT(page.text(), Not(HasSubstr("\r")));
}

TEST_F(EventStreamTest, StreamsAreCountedAndLimited) {
  web_options_.max_streams = 2;
  StartWeb();
  auto first = std::make_unique<EventReader>(web_->endpoint(), "");
  EventReader second(web_->endpoint(), "");
  ASSERT_TRUE(first->WaitFor("\nid: "));
  ASSERT_TRUE(second.WaitFor("\nid: "));
  const httplib::Response refused = Get("/api/v1/events");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("2 pages are open"));
  EXPECT_THAT(Get("/metrics").body, HasSubstr("foldfarm_page_streams 2\n"));
  first.reset();
  // Its place is free as soon as the coordinator notices.
  bool taken = false;
  WaitUnlessCancelled(Clock::Real(), absl::Seconds(20), [&] {
    EventReader third(web_->endpoint(), "");
    taken = third.WaitFor("\nid: ");
    return taken;
  });
  EXPECT_TRUE(taken);
}

TEST_F(EventStreamTest, EndsWhenTheCoordinatorStops) {
  EventReader page(web_->endpoint(), "");
  ASSERT_TRUE(page.WaitFor("\nid: "));
  server_->queue().StopWaiting();
  EXPECT_TRUE(page.WaitForEnd());
}

TEST_F(EventStreamTest, EndsWhenItsTokenIsWithdrawn) {
  const std::string path = JoinPath(directory_, "tokens");
  const auto write = [&](absl::string_view name) {
    ASSERT_TRUE(WriteFileAtomically(
                    path, absl::StrCat(TokenLine(Role::kReadOnly, name,
                                                 absl::StrCat(kToken, name)),
                                       "\n"))
                    .ok());
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  };
  write("board");
  const auto tokens = *TokenStore::Open(path, Clock::Real());
  const absl::Cleanup stop = [this] { web_.reset(); };  // Before the tokens.
  web_options_.tokens = tokens.get();
  StartWeb();
  EventReader page(web_->endpoint(), "",
                   WithToken(absl::StrCat(kToken, "board")));
  ASSERT_TRUE(page.WaitFor("\nid: "));
  write("other");
  ASSERT_TRUE(tokens->Reload().ok());
  RegisterDataset();
  Submit("secret", 1);
  EXPECT_TRUE(page.WaitForEnd());
  EXPECT_THAT(page.text(), Not(HasSubstr("secret")));
}

TEST_F(EventStreamTest, ACursorReadsBack) {
  const EventCursor cursor{1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(cursor.ToString(), "1.2.3.4.5.6.7");
  EXPECT_EQ(EventCursor::Parse(cursor.ToString()).ToString(), "1.2.3.4.5.6.7");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5.6.-7", "a.b.c.d.e.f.g"}) {
    EXPECT_EQ(EventCursor::Parse(bad).ToString(), "0.0.0.0.0.0.0") << bad;
  }
}

}  // namespace
}  // namespace foldfarm
