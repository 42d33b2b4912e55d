// Leases: which job a worker with some free slots gets, and when they run out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "coordinator/store/sqlite.h"
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LeasesTest : public QueueFixture {
 protected:
  v1::SweepSpec WideSpec(const std::string& name, int slots) {
    v1::SweepSpec spec = Spec(name, 1);
    spec.mutable_models(0)->set_slots(slots);
    return spec;
  }
  // Ends an attempt and asks for work for the slot that it had.
  std::vector<v1::Lease> FinishAndAsk(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest request = Success(session, lease);
    request.set_free_slots(1);
    request.set_next_leases(1);
    const auto response = Finish(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return {response->next_leases().begin(), response->next_leases().end()};
  }
};

TEST_F(LeasesTest, AJobOfSeveralSlotsDoesNotStarveBehindManySmallOnes) {
  ASSERT_TRUE(Submit(Spec("small", 10), "r1").ok());
  const int64_t worker = Register("w", /*slots=*/2);
  const auto running = Acquire(worker, 2);
  ASSERT_THAT(running, SizeIs(2));
  v1::SweepSpec wide = WideSpec("wide", 2);
  wide.set_priority(5);
  ASSERT_TRUE(Submit(wide, "r2").ok());

  EXPECT_THAT(FinishAndAsk(worker, running[0]), IsEmpty());
  EXPECT_EQ(WaitingReason(Jobs(2)[0]),
            "worker w keeps its free slots for it, 1 of 2 so far");
  EXPECT_THAT(Acquire(worker, 1), IsEmpty());
  EXPECT_THAT(FinishAndAsk(worker, running[1]), IsEmpty());
  const auto leases = Acquire(worker, 2);
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].spec().job(), "s2/wide0/0");
  EXPECT_EQ(leases[0].slots(), 2);
}

TEST_F(LeasesTest, TheWorkerThatHasEnoughSoonestKeepsItsSlots) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r1").ok());
  const int64_t slow = Register("slow", /*slots=*/2);
  const int64_t fast = Register("fast", /*slots=*/2);
  const auto long_ones = Acquire(slow, 2);
  const auto short_ones = Acquire(fast, 2);
  ASSERT_THAT(long_ones, SizeIs(2));
  ASSERT_THAT(short_ones, SizeIs(2));
  const auto report = [this](const v1::Lease& lease, double seconds) {
    v1::ReportProgressRequest request;
    request.set_token(lease.token());
    v1::EpochMetrics& epoch = *request.add_epochs();
    epoch.set_epoch(1);
    (*epoch.mutable_values())["seconds"] = seconds;
    ASSERT_TRUE(Call(&JobQueue::ReportProgress, request).ok());
  };
  for (const v1::Lease& lease : long_ones) report(lease, 3600);
  for (const v1::Lease& lease : short_ones) report(lease, 1);
  ASSERT_TRUE(Submit(Spec("small", 10), "r2").ok());
  v1::SweepSpec wide = WideSpec("wide", 2);
  wide.set_priority(5);
  ASSERT_TRUE(Submit(wide, "r3").ok());

  // One of its slots is free, but the other only hours later.
  const auto small = FinishAndAsk(slow, long_ones[0]);
  ASSERT_THAT(small, SizeIs(1));
  EXPECT_EQ(small[0].spec().job(), "s2/small0/0");
  EXPECT_EQ(WaitingReason(Jobs(3)[0]),
            "worker fast keeps its free slots for it, 0 of 2 so far");
  EXPECT_THAT(FinishAndAsk(fast, short_ones[0]), IsEmpty());
  EXPECT_THAT(FinishAndAsk(fast, short_ones[1]), IsEmpty());
  const auto leases = Acquire(fast, 2);
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].spec().job(), "s3/wide0/0");
}

TEST_F(LeasesTest, SlotsAreKeptForNoJobThatIsGone) {
  ASSERT_TRUE(Submit(Spec("small", 10), "r1").ok());
  const int64_t worker = Register("w", /*slots=*/2);
  const auto running = Acquire(worker, 2);
  ASSERT_TRUE(Submit(WideSpec("wide", 2), "r2").ok());
  ASSERT_THAT(FinishAndAsk(worker, running[0]), IsEmpty());
  EXPECT_THAT(
      WaitingReason(Jobs(1).back()),
      HasSubstr("worker w keeps its free slots for a job that needs 2"));
  ASSERT_TRUE(queue_->Cancel(SweepId{2}, std::nullopt).ok());
  EXPECT_THAT(Acquire(worker, 1), SizeIs(1));
}

TEST_F(LeasesTest, AWorkerThatStopsBeforeACheckpointKeepsNoSlots) {
  // An epoch of the wide model takes an hour.
  ASSERT_TRUE(Submit(WideSpec("wide", 2), "r1").ok());
  const int64_t first = Register("first", /*slots=*/2);
  const auto known = Acquire(first, 2);
  ASSERT_THAT(known, SizeIs(1));
  v1::ReportProgressRequest report;
  report.set_token(known[0].token());
  v1::EpochMetrics& epoch = *report.add_epochs();
  epoch.set_epoch(1);
  (*epoch.mutable_values())["seconds"] = 3600;
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());

  ASSERT_TRUE(Submit(Spec("small", 10), "r2").ok());
  v1::RegisterRequest request;
  request.set_name("w");
  request.set_slots(2);
  request.set_seconds_left(600);
  const int64_t worker = Call(&JobQueue::Register, request)->session();
  ASSERT_TRUE(queue_->SetPriority(SweepId{1}, 5).ok());
  EXPECT_THAT(Acquire(worker, 1), SizeIs(1));
  EXPECT_THAT(queue_->WaitingReason(Jobs(1)[1], 5, queue_->Load()),
              HasSubstr("worker w stops at"));
}

TEST_F(LeasesTest, AHeartbeatThatWaitedForAHungDiskKeepsItsLease) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  absl::Notification hangs, goes_on;
  std::thread disk([&] {
    store_
        ->RunAndWait([&](Tx& tx) {
          tx.AfterCommit([&](const absl::Status&) {
            hangs.Notify();
            goes_on.WaitForNotification();
          });
          return absl::OkStatus();
        })
        .IgnoreError();
  });
  hangs.WaitForNotification();
  v1::HeartbeatRequest request;
  request.set_session(worker);
  request.add_tokens(lease.token());
  absl::Notification answered;
  queue_->Heartbeat(request,
                    [&](absl::StatusOr<v1::HeartbeatResponse> response) {
                      EXPECT_TRUE(response.ok()) << response.status();
                      EXPECT_EQ(response->answers(0).action(),
                                v1::HeartbeatResponse::CONTINUE);
                      answered.Notify();
                    });
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  goes_on.Notify();
  answered.WaitForNotification();
  disk.join();
  EXPECT_EQ(Job(lease).state, v1::Job::RUNNING);
}

class WorkerNamesTest : public QueueFixture {
 protected:
  absl::StatusOr<int64_t> TryRegister(const std::string& host,
                                      int64_t former = 0,
                                      std::vector<int64_t> held = {}) {
    v1::RegisterRequest request;
    request.mutable_held_tokens()->Add(held.begin(), held.end());
    request.set_name("gpu1");
    request.set_host(host);
    request.set_slots(1);
    request.set_former_session(former);
    auto response = Call(&JobQueue::Register, request);
    if (!response.ok()) return response.status();
    return response->session();
  }
  void Hear(int64_t session) {
    clock_.Advance(absl::Seconds(1));
    v1::HeartbeatRequest request;
    request.set_session(session);
    const auto response = Call(&JobQueue::Heartbeat, request);
    ASSERT_TRUE(response.ok()) << response.status();
  }
  std::string Refusal(const std::string& host, int64_t former = 0) {
    const absl::Status status = TryRegister(host, former).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    return std::string(status.message());
  }
};

TEST_F(WorkerNamesTest, OfTwoOnOneHostTheFirstIsReplacedForGood) {
  const int64_t first = *TryRegister("a");
  Hear(first);
  // As a daemon that was restarted.
  const int64_t second = *TryRegister("a");
  Hear(second);
  EXPECT_EQ(Refusal("a", first),
            "another worker has registered as gpu1, on host a; give each a "
            "--name of its own");
  Hear(second);
}

TEST_F(WorkerNamesTest, OnAnotherHostTheNameIsFreeOnceItsWorkerIsGone) {
  const int64_t first = *TryRegister("a");
  Hear(first);
  EXPECT_THAT(Refusal("b"), HasSubstr("worker gpu1 runs on host a, heard 0 s "
                                      "ago; give each worker a --name"));
  Hear(first);
  clock_.Advance(QueueOptions().lease_duration);
  EXPECT_TRUE(TryRegister("b").ok());
}

TEST_F(WorkerNamesTest, WhoseAnswerWasLostRegistersAgain) {
  const int64_t first = *TryRegister("a");
  Hear(first);
  ASSERT_TRUE(TryRegister("a", first).ok());
  clock_.Advance(absl::Seconds(1));
  const auto third = TryRegister("a", first);
  ASSERT_TRUE(third.ok()) << third.status();
  Hear(*third);
  EXPECT_TRUE(TryRegister("a", *third).ok());
}

TEST_F(WorkerNamesTest, NobodyIsReplacedByItselfWhenTheCoordinatorRestarts) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t first = *TryRegister("a");
  const v1::Lease lease = Acquire(first)[0];
  clock_.Advance(absl::Seconds(1));
  // Whose answer is lost, as the coordinator is killed.
  ASSERT_TRUE(TryRegister("a", first, {lease.token()}).ok());
  clock_.Advance(absl::Seconds(1));
  Restart();  // Leases, and their workers with them, get some time.
  const auto third = TryRegister("a", first, {lease.token()});
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(Beat(*third, lease.token()), v1::HeartbeatResponse::CONTINUE);
}

TEST_F(WorkerNamesTest, WhoIsGoneForLongIsForgottenWhenTheNextOneComes) {
  Register("gone");
  Register("drained");
  ASSERT_TRUE(queue_->DrainWorker("drained", "new fans").ok());
  const int64_t heard = Register("heard");
  clock_.Advance(absl::Hours(6 * 24));
  Hear(heard);
  Register("early");
  EXPECT_THAT(queue_->Workers(), SizeIs(4));
  clock_.Advance(absl::Hours(2 * 24));
  Register("next");
  const auto names = [this] {
    std::vector<std::string> all;
    for (const WorkerView& worker : queue_->Workers()) {
      all.push_back(worker.row.name);
    }
    return all;
  };
  EXPECT_THAT(names(), ElementsAre("drained", "early", "heard", "next"));
  Restart();
  EXPECT_THAT(names(), ElementsAre("drained", "early", "heard", "next"));
}

TEST_F(LeasesTest, AGrantThatFailsIsToldToItsWorkerAlone) {
  using Reply = absl::StatusOr<v1::AcquireLeasesResponse>;
  struct Waiting {
    Reply reply = absl::UnknownError("no answer");
    absl::Notification answered;
  };
  Waiting first, second;
  for (Waiting* waiting : {&first, &second}) {
    v1::AcquireLeasesRequest request;
    request.set_session(Register(waiting == &first ? "a" : "b"));
    request.set_free_slots(1);
    request.set_wait_seconds(60);
    queue_->AcquireLeases(request, waiting, [waiting](Reply reply) {
      waiting->reply = std::move(reply);
      waiting->answered.Notify();
    });
  }
  // The second job's attempts cannot be written, as if their page were damaged.
  auto other = Connection::Open(store_->path(), /*read_only=*/false);
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_TRUE((*other)
                  ->Execute("CREATE TRIGGER t BEFORE INSERT ON attempt WHEN "
                            "NEW.job_id = 2 BEGIN SELECT RAISE(ABORT, 'no'); "
                            "END")
                  .ok());
  spdlog::set_level(spdlog::level::off);
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  second.answered.WaitForNotification();
  EXPECT_FALSE(second.reply.ok());
  queue_->RunDue();
  first.answered.WaitForNotification();
  spdlog::set_level(spdlog::level::err);
  ASSERT_TRUE(first.reply.ok()) << first.reply.status();
  ASSERT_THAT(first.reply->leases(), SizeIs(1));
  EXPECT_EQ(first.reply->leases(0).spec().job(), "s1/m0/0");
}

}  // namespace
}  // namespace foldfarm
