#include "coordinator/web/event_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/rpc/retry.h"
#include "coordinator/web/farm_feed.h"
#include "tests/coordinator/web/web_fixture.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A page without HTTP, by a clock of its own.
class Watcher {
 public:
  Watcher(CoordinatorServer& server, EventTopic topic,
          const EventCursor& cursor = {})
      : feed_(server.store(), server.queue(), clock_),
        stream_(feed_, server.store(), server.queue(), server.farm(), clock_,
                instance_, std::move(topic), cursor) {}

  // What it is told that much later.
  void Look(absl::Duration later = FarmFeed::kInterval) {
    clock_.Advance(later);
    auto told = stream_.Next();
    ASSERT_TRUE(told.ok()) << told.status();
    told_ = *std::move(told);
  }

  // The data of that event of the last look; null when there was none.
  nlohmann::json Told(const std::string& event) const {
    const std::string head = absl::StrCat("event: ", event, "\ndata: ");
    const size_t at = told_.find(head);
    if (at == std::string::npos) return nullptr;
    const size_t begin = at + head.size();
    return ParseJson(told_.substr(begin, told_.find('\n', begin) - begin));
  }

  EventCursor cursor() const {
    const size_t begin = told_.rfind("id: ") + 4;
    return EventCursor::Parse(
        told_.substr(begin, told_.find('\n', begin) - begin));
  }

 private:
  FakeClock clock_;
  const std::string instance_ = "a run";
  FarmFeed feed_;
  EventStream stream_;
  std::string told_;
};

class EventStreamTest : public WebTest {
 protected:
  // One epoch and one line of the attempt.
  void Report(const v1::Lease& lease, int epoch, const std::string& line,
              std::optional<double> log_loss = std::nullopt) {
    v1::ReportProgressRequest request;
    request.set_token(lease.token());
    request.set_started(true);
    request.set_epochs_total(10);
    v1::EpochMetrics& metrics = *request.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["log_loss"] = log_loss.value_or(1.0 / epoch);
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

TEST_F(EventStreamTest, ANewAttemptsEpochsReplaceThoseThatALostOneReported) {
  RegisterDataset();
  Submit("first", 1);
  const int64_t session = Register("w1");
  const auto lost = Acquire(session);
  ASSERT_EQ(lost->leases_size(), 1);
  ASSERT_EQ(lost->leases(0).spec().job(), "s1/model0/0");
  for (int epoch = 1; epoch <= 3; ++epoch) {
    Report(lost->leases(0), epoch, "lost");
  }
  Watcher page(*server_,
               {.sweep = "s1", .job = "s1/model0/0", .models = {"model0"}});
  page.Look();
  EXPECT_EQ(page.Told("metrics")["epochs"].size(), 3u);
  EXPECT_EQ(page.Told("curves")["curves"][0]["epoch"].size(), 3u);
  // It leaves no checkpoint.
  v1::FinishAttemptRequest finish;
  finish.set_session(session);
  finish.set_token(lost->leases(0).token());
  finish.set_outcome(v1::Attempt::PREEMPTED);
  ASSERT_TRUE(Work(&Workers::FinishAttempt, finish).ok());
  const auto held = Acquire(session);
  ASSERT_EQ(held->leases_size(), 1);
  ASSERT_EQ(held->leases(0).spec().job(), "s1/model0/0");
  page.Look();
  EXPECT_EQ(page.Told("job")["job"]["attemptCount"].get<int>(), 2);
  EXPECT_TRUE(page.Told("metrics").is_null());
  EXPECT_TRUE(page.Told("curves").is_null());
  for (int epoch = 1; epoch <= 2; ++epoch) {
    Report(held->leases(0), epoch, "anew", 0.125 * epoch);
    page.Look();
    const nlohmann::json metrics = page.Told("metrics");
    ASSERT_FALSE(metrics.is_null());
    ASSERT_EQ(metrics["epochs"].size(), 1u);
    EXPECT_EQ(metrics["epochs"][0]["epoch"].get<int>(), epoch);
    EXPECT_EQ(metrics["epochs"][0]["values"]["log_loss"].get<double>(),
              0.125 * epoch);
    const nlohmann::json curves = page.Told("curves");
    ASSERT_FALSE(curves.is_null());
    EXPECT_EQ(curves["curves"][0]["attempt"].get<int>(), 2);
    EXPECT_EQ(curves["curves"][0]["epoch"], nlohmann::json::array({epoch}));
    EXPECT_EQ(curves["curves"][0]["logLoss"],
              nlohmann::json::array({0.125 * epoch}));
  }
  // A page that is opened now hears of no other.
  Watcher late(*server_,
               {.sweep = "s1", .job = "s1/model0/0", .models = {"model0"}});
  late.Look();
  EXPECT_EQ(late.Told("metrics")["epochs"].size(), 2u);
  EXPECT_EQ(late.Told("curves")["curves"][0]["epoch"].size(), 2u);
}

TEST_F(EventStreamTest, WhatJobsWaitForIsToldWhenOnlyTheFarmHasChanged) {
  RegisterDataset();
  Submit("first", 1);
  Watcher page(*server_, {.sweep = "s1", .job = "s1/model0/0"});
  page.Look();
  const std::string before = "no worker is online";
  EXPECT_EQ(page.Told("job")["job"]["waitingReason"].get<std::string>(),
            before);
  EXPECT_EQ(page.Told("jobs")["jobs"][1]["waitingReason"].get<std::string>(),
            before);
  const EventCursor cursor = page.cursor();
  Register("w1");
  // Not at every look.
  page.Look();
  EXPECT_TRUE(page.Told("job").is_null());
  EXPECT_TRUE(page.Told("jobs").is_null());
  page.Look(EventStream::kLookAgain);
  ASSERT_FALSE(page.Told("job").is_null());
  EXPECT_EQ(page.Told("job")["job"]["waitingReason"].get<std::string>(), "");
  ASSERT_EQ(page.Told("jobs")["jobs"].size(), 2u);
  EXPECT_EQ(page.Told("jobs")["jobs"][1]["waitingReason"].get<std::string>(),
            "");
  // Nor what is as it was.
  page.Look(EventStream::kLookAgain);
  EXPECT_TRUE(page.Told("job").is_null());
  EXPECT_TRUE(page.Told("jobs").is_null());
  // It changed while a page was away.
  Watcher back(*server_, {.sweep = "s1"}, cursor);
  back.Look();
  ASSERT_EQ(back.Told("jobs")["jobs"].size(), 2u);
  EXPECT_EQ(back.Told("jobs")["jobs"][1]["waitingReason"].get<std::string>(),
            "");
}

TEST_F(EventStreamTest, JobsThatWaitInALargeSweepTakeTurns) {
  RegisterDataset();
  Submit("large", 600);
  Watcher page(*server_, {.sweep = "s1"});
  page.Look();
  EXPECT_EQ(page.Told("jobs")["jobs"].size(), 1200u);
  Register("w1");
  page.Look(EventStream::kLookAgain);
  EXPECT_EQ(page.Told("jobs")["jobs"].size(), 1000u);
  page.Look(EventStream::kLookAgain);
  EXPECT_EQ(page.Told("jobs")["jobs"].size(), 200u);
  page.Look(EventStream::kLookAgain);
  EXPECT_TRUE(page.Told("jobs").is_null());
}

TEST_F(EventStreamTest, ALeaseThatIsExtendedIsTold) {
  RegisterDataset();
  Submit("first", 1);
  const int64_t session = Register("w1");
  const auto leases = Acquire(session);
  ASSERT_EQ(leases->leases_size(), 1);
  Watcher page(*server_, {.job = "s1/model0/0"});
  page.Look();
  const nlohmann::json before = page.Told("job")["attempts"][0];
  v1::HeartbeatRequest heartbeat;
  heartbeat.set_session(session);
  heartbeat.add_tokens(leases->leases(0).token());
  ASSERT_TRUE(Work(&Workers::Heartbeat, heartbeat).ok());
  page.Look(EventStream::kLookAgain);
  ASSERT_FALSE(page.Told("job").is_null());
  EXPECT_NE(page.Told("job")["attempts"][0]["leaseExpireTime"],
            before["leaseExpireTime"]);
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
