// Many who watch: the real coordinator, and a thousand streams from this
// process.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/rpc/channel.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/programs.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Workers = v1::WorkerService::StubInterface;
using Farm = v1::FarmService::StubInterface;

constexpr absl::Duration kPatience = absl::Seconds(60);
// gRPC's, the database's and the queue's own; on a machine of many cores.
constexpr int kMostThreads = 100;

// One open WatchSweep; a completion queue says what became of it.
struct Watch {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchSweepResponse>> reader;
  v1::WatchSweepResponse response;
  grpc::Status status;
  bool begun = false;
  bool finishing = false;
  bool finished = false;
  // Was cancelled.
  bool leaves = false;
  int messages = 0;
  // Jobs that were seen running.
  int running = 0;
};

class StreamsTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> flags) {
    auto cluster = TestCluster::Start({.coordinator_flags = std::move(flags)});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", 16).ok());
    const auto sweep = cluster_->Submit(
        "name: watched\nfolds: {count: 2}\nmodels:\n"
        "  - {name: one, arch: {none: {}}}\n",
        "tiny");
    ASSERT_TRUE(sweep.ok()) << sweep.status();
    sweep_ = *sweep;
    channel_ = MakeChannel(cluster_->endpoint());
    farm_ = v1::FarmService::NewStub(channel_);
    workers_ = v1::WorkerService::NewStub(channel_);
    // Connects: calls that are made before fail together if that is slow.
    ASSERT_TRUE(PollUntil(kPatience, [&] {
      return UnaryCall(*farm_, &Farm::ListSweeps, v1::ListSweepsRequest(),
                       kPatience)
          .ok();
    }));
  }

  void TearDown() override {
    for (auto& watch : watches_) watch->context.TryCancel();
    WaitUntil([](const Watch& watch) { return watch.finished; });
    events_.Shutdown();
    void* tag;
    bool ok;
    while (events_.Next(&tag, &ok)) {
    }
  }

  void Open(size_t count) {
    v1::WatchSweepRequest request;
    request.set_sweep(sweep_);
    for (size_t i = 0; i < count; ++i) {
      Watch& watch = *watches_.emplace_back(std::make_unique<Watch>());
      watch.reader =
          farm_->AsyncWatchSweep(&watch.context, request, &events_, &watch);
    }
  }

  // Reads on in all streams until each is as asked; false when that took too
  // long or one has finished and is not.
  bool WaitUntil(const std::function<bool(const Watch&)>& condition) {
    const absl::Duration end = Clock::Real().Monotonic() + kPatience;
    while (true) {
      bool all = true;
      for (const auto& watch : watches_) {
        if (condition(*watch)) continue;
        all = false;
        if (!watch->finished) continue;
        ADD_FAILURE() << "a stream ended: " << watch->status.error_message();
        return false;
      }
      if (all) return true;
      const absl::Duration left = end - Clock::Real().Monotonic();
      void* tag = nullptr;
      bool ok = false;
      if (left <= absl::ZeroDuration() ||
          events_.AsyncNext(
              &tag, &ok,
              gpr_time_from_millis(absl::ToInt64Milliseconds(left) + 1,
                                   GPR_TIMESPAN)) !=
              grpc::CompletionQueue::GOT_EVENT) {
        return false;
      }
      Handle(*static_cast<Watch*>(tag), ok);
    }
  }

  void Handle(Watch& watch, bool ok) {
    if (watch.finishing) {
      watch.finished = true;
      return;
    }
    if (!ok) {
      watch.finishing = true;
      watch.reader->Finish(&watch.status, &watch);
      return;
    }
    if (watch.begun) {
      ++watch.messages;
      for (const v1::Job& job : watch.response.jobs()) {
        watch.running += job.state() == v1::Job::RUNNING;
      }
    }
    watch.begun = true;
    watch.reader->Read(&watch.response, &watch);
  }

  // What /proc says of the coordinator: "Threads" or "VmRSS", in kB.
  int64_t Measure(absl::string_view what) {
    const auto status = ReadFile(
        absl::StrCat("/proc/", cluster_->coordinator_pid(), "/status"));
    EXPECT_TRUE(status.ok()) << status.status();
    for (absl::string_view line : absl::StrSplit(*status, '\n')) {
      int64_t number = 0;
      if (absl::ConsumePrefix(&line, absl::StrCat(what, ":")) &&
          absl::SimpleAtoi(absl::StripSuffix(line, "kB"), &number)) {
        return number;
      }
    }
    ADD_FAILURE() << what << " is not in " << *status;
    return 0;
  }

  // Takes a lease as a worker does.
  v1::Lease Lease() {
    v1::RegisterRequest as;
    as.set_name("one");
    as.set_slots(1);
    const auto session =
        UnaryCall(*workers_, &Workers::Register, as, kPatience);
    EXPECT_TRUE(session.ok()) << session.status();
    v1::AcquireLeasesRequest acquire;
    acquire.set_session(session->session());
    acquire.set_free_slots(1);
    const auto leases =
        UnaryCall(*workers_, &Workers::AcquireLeases, acquire, kPatience);
    EXPECT_TRUE(leases.ok()) << leases.status();
    EXPECT_EQ(leases->leases_size(), 1);
    return leases->leases_size() == 1 ? leases->leases(0) : v1::Lease();
  }

  std::unique_ptr<TestCluster> cluster_;
  std::string sweep_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::FarmService::Stub> farm_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  grpc::CompletionQueue events_;
  std::vector<std::unique_ptr<Watch>> watches_;
};

TEST_F(StreamsTest, AThousandWatchersCostNoThreadsAndHearOfEveryChange) {
  constexpr size_t kWatchers = 1000;
  Start({});
  const int64_t memory_before = Measure("VmRSS");
  Open(kWatchers);
  ASSERT_TRUE(WaitUntil([](const Watch& watch) { return watch.messages > 0; }));
  EXPECT_LT(Measure("Threads"), kMostThreads);

  // A worker is answered although so many watch, and all of them see it.
  Lease();
  ASSERT_TRUE(WaitUntil([](const Watch& watch) { return watch.running > 0; }));
  EXPECT_LT(Measure("Threads"), kMostThreads);
  const int64_t memory_kb = Measure("VmRSS") - memory_before;
  EXPECT_LT(memory_kb, 100 * 1024);
  std::cout << kWatchers << " watchers: " << Measure("Threads") << " threads, "
            << memory_kb / 1024 << " MiB more\n";

  // Half of them leave.
  for (size_t i = 0; i < kWatchers / 2; ++i) {
    watches_[i]->leaves = true;
    watches_[i]->context.TryCancel();
  }
  ASSERT_TRUE(WaitUntil(
      [](const Watch& watch) { return watch.finished || !watch.leaves; }));

  // And the rest is open when the coordinator is told to stop.
  const absl::Duration begin = Clock::Real().Monotonic();
  const ExitState end = cluster_->StopCoordinator();
  EXPECT_LT(Clock::Real().Monotonic() - begin, absl::Seconds(10));
  EXPECT_EQ(end.exit_status, 0);
  EXPECT_EQ(end.signal, 0);
  ASSERT_TRUE(WaitUntil([](const Watch& watch) { return watch.finished; }));
  for (size_t i = kWatchers / 2; i < kWatchers; ++i) {
    ASSERT_EQ(watches_[i]->status.error_code(), grpc::StatusCode::UNAVAILABLE)
        << i << ": " << watches_[i]->status.error_message();
  }
}

TEST_F(StreamsTest, MoreStreamsThanTheLimitAreRefusedAndFindRoomLater) {
  Start({"--max-streams", "3"});
  Open(3);
  ASSERT_TRUE(WaitUntil([](const Watch& watch) { return watch.messages > 0; }));
  const auto try_one = [&](absl::Duration timeout) {
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    v1::WatchSweepRequest request;
    request.set_sweep(sweep_);
    const auto reader = farm_->WatchSweep(&context, request);
    v1::WatchSweepResponse response;
    if (reader->Read(&response)) context.TryCancel();
    return reader->Finish();
  };
  const grpc::Status refused = try_one(kPatience);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("at most 3 sweeps and logs"));
  EXPECT_THAT(refused.error_message(), HasSubstr("--max-streams"));
  // Other calls are none of its concern.
  EXPECT_TRUE(
      UnaryCall(*farm_, &Farm::ListSweeps, v1::ListSweepsRequest(), kPatience)
          .ok());
  watches_[0]->context.TryCancel();
  EXPECT_TRUE(PollUntil(kPatience, [&] {
    return try_one(kPatience).error_code() == grpc::StatusCode::CANCELLED;
  }));
}

}  // namespace
}  // namespace foldfarm
