// Model check of the real queue in a small world: one job, two workers, one
// clock that stands still; breadth first over everything that can happen.
//
// What can happen: a worker registers anew and has forgotten its attempts; it
// acquires, and the answer arrives or is lost; it beats; whoever was ever
// granted an attempt reports its end, once, again, late or in another order;
// time passes, up to and beyond a lease; the coordinator is killed and starts
// again; a person cancels or retries. The store is a real one.
//
// A state is the events that lead to it: a queue cannot be copied, so each is
// reached by doing them again in a fresh folder. Two are the same when the
// tables, the leases in memory and what the workers know are.
//
// FOLDFARM_MODEL_DEPTH sets how many events are done after the start.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "tests/coordinator/queue/explorer.h"
#include "tests/testing/tiny_farm.h"

namespace foldfarm {
namespace {

// Some thousand worlds a test; more takes minutes and FOLDFARM_MODEL_DEPTH.
constexpr int kDepth = 2;
// Tokens beyond this are not granted any more.
constexpr size_t kMostTokens = 3;

enum class Act {
  kRegister,
  kAcquire,
  kAcquireLost,
  kBeat,
  kSucceed,
  kFail,
  kPreempt,
  kHalfLease,
  kLease,
  kRestart,
  kCancel,
  kRetry,
};

struct Event {
  Act act;
  // The worker, or the place of the token among those that were granted.
  size_t who = 0;
};

std::string EventName(const Event& event) {
  static constexpr const char* kNames[] = {
      "register",  "acquire",   "acquire and lose the answer",
      "beat",      "succeed",   "fail",
      "hand back", "15 s pass", "30 s pass",
      "restart",   "cancel",    "retry"};
  return absl::StrCat(kNames[static_cast<int>(event.act)], " ", event.who);
}

using Path = std::vector<Event>;

// A folder for all worlds of this process.
class Folders {
 public:
  static Folders& Get() {
    static Folders folders;
    return folders;
  }
  // As the farm is before anything happened.
  std::string Fresh() {
    const std::string path = JoinPath(root_, "world");
    std::filesystem::remove_all(path);
    std::filesystem::copy(JoinPath(root_, "beginning"), path,
                          std::filesystem::copy_options::recursive);
    return path;
  }
  static v1::FoldsSpec OneFold() {
    v1::FoldsSpec folds;
    (*folds.mutable_holdout())["instrument_type"] = "sam_testbed";
    return folds;
  }
  const v1::ArtifactRef& result() const { return result_; }

 private:
  Folders() {
    // In memory: a state costs a dozen commits.
    if (IsDirectory("/dev/shm")) setenv("TMPDIR", "/dev/shm", 0);
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    spdlog::set_level(spdlog::level::off);
    root_ = MakeTemporaryDirectory("foldfarm-model-").value();
    const std::string beginning = JoinPath(root_, "beginning");
    const std::string trial = JoinPath(root_, "trial");
    EXPECT_TRUE(MakeDirectories(beginning).ok());
    EXPECT_TRUE(MakeDirectories(trial).ok());
    const auto results = MakeTinyFarm(beginning, trial, OneFold());
    EXPECT_TRUE(results.ok()) << results.status();
    result_ = results->at(0);
  }
  ~Folders() { RemoveRecursively(root_).IgnoreError(); }
  std::string root_;
  v1::ArtifactRef result_;
};

// The farm and what its workers believe.
class World {
 public:
  // A broken farm is made by a network that puts the newest token on every
  // report: what a queue that compares no tokens would let through.
  explicit World(bool forge_tokens)
      : folder_(Folders::Get().Fresh()), forge_tokens_(forge_tokens) {
    Open();
    v1::SubmitSweepRequest submission;
    submission.set_request_id("r");
    submission.set_dataset("tiny");
    *submission.mutable_spec() = TinySweep(1, Folders::OneFold());
    EXPECT_TRUE(queue_->SubmitSweep(submission).ok());
    Do({Act::kRegister, 0});
    Do({Act::kRegister, 1});
  }

  void Do(const Event& event) {
    const v1::Job::State before = Job().state;
    switch (event.act) {
      case Act::kRegister: {
        v1::RegisterRequest request;
        request.set_name(absl::StrCat("w", event.who));
        request.set_slots(1);
        const auto response = AskQueue<v1::RegisterResponse>(
            *queue_, &JobQueue::Register, request);
        sessions_[event.who] = response->session();
        held_[event.who].clear();
        break;
      }
      case Act::kAcquire:
      case Act::kAcquireLost: {
        const auto response = AskForLeases(*queue_, sessions_[event.who], 1);
        if (!response.ok() || event.act == Act::kAcquireLost) break;
        for (const v1::Lease& lease : response->leases()) {
          if (!tokens_.empty() && lease.token() <= tokens_.back()) {
            Fail("fencing tokens do not grow");
          }
          tokens_.push_back(lease.token());
          owner_.push_back(event.who);
          held_[event.who].insert(lease.token());
        }
        break;
      }
      case Act::kBeat: {
        v1::HeartbeatRequest request;
        request.set_session(sessions_[event.who]);
        for (const int64_t token : held_[event.who]) request.add_tokens(token);
        const auto response = AskQueue<v1::HeartbeatResponse>(
            *queue_, &JobQueue::Heartbeat, request);
        if (!response.ok()) break;
        for (const auto& answer : response->answers()) {
          if (answer.action() == v1::HeartbeatResponse::STALE) {
            held_[event.who].erase(answer.token());
          }
        }
        break;
      }
      case Act::kSucceed:
        Finish(event.who, v1::Attempt::SUCCEEDED);
        break;
      case Act::kFail:
        Finish(event.who, v1::Attempt::FAILED);
        break;
      case Act::kPreempt:
        Finish(event.who, v1::Attempt::PREEMPTED);
        break;
      case Act::kHalfLease:
        Advance(QueueOptions().lease_duration / 2);
        break;
      case Act::kLease:
        Advance(QueueOptions().lease_duration);
        break;
      case Act::kRestart:
        Close();
        Open();
        break;
      case Act::kCancel:
        EXPECT_TRUE(queue_->Cancel(SweepId{1}, std::nullopt).ok());
        break;
      case Act::kRetry:
        EXPECT_TRUE(queue_->Retry(SweepId{1}, std::nullopt).ok());
        break;
    }
    Check(before, event.act);
  }

  std::vector<Event> Possible() const {
    std::vector<Event> events = {{Act::kHalfLease},
                                 {Act::kLease},
                                 {Act::kRestart},
                                 {Act::kCancel},
                                 {Act::kRetry}};
    for (size_t worker = 0; worker < sessions_.size(); ++worker) {
      events.push_back({Act::kRegister, worker});
      events.push_back({Act::kBeat, worker});
      if (attempts_.size() >= kMostTokens) continue;
      events.push_back({Act::kAcquire, worker});
      events.push_back({Act::kAcquireLost, worker});
    }
    for (size_t i = 0; i < tokens_.size(); ++i) {
      for (const Act act : {Act::kSucceed, Act::kFail, Act::kPreempt}) {
        events.push_back({act, i});
      }
    }
    return events;
  }

  // The same text: the same can happen from here on. Times count from now.
  std::string Key() const {
    const JobRow job = Job();
    const auto from_now = [&](absl::Time time) {
      if (time == absl::InfinitePast()) return std::string("-");
      return absl::StrCat(absl::ToInt64Seconds(time - clock_->Now()));
    };
    std::string key = absl::StrCat(
        "job ", job.state, " ", job.failed_count, " ", job.lost_count, " ",
        job.cancel_requested, " ", job.token.value, " ",
        job.not_before > clock_->Now() ? from_now(job.not_before) : "-");
    for (const AttemptRow& attempt : attempts_) {
      absl::StrAppend(&key, "; attempt ", attempt.state, " ", attempt.outcome,
                      " ", attempt.worker);
    }
    for (const auto& [token, lease] : queue_->Leases()) {
      absl::StrAppend(&key, "; lease ", token.value, " ", from_now(lease.until),
                      " ", from_now(lease.granted), " ",
                      lease.heartbeat == absl::InfinitePast(), " ",
                      lease.cancel);
      for (const int64_t session : sessions_) {
        absl::StrAppend(&key, " ", lease.session.value == session);
      }
    }
    for (size_t worker = 0; worker < held_.size(); ++worker) {
      absl::StrAppend(&key, "; worker");
      for (const int64_t token : held_[worker]) {
        absl::StrAppend(&key, " ", token);
      }
    }
    absl::StrAppend(&key, "; known");
    for (const int64_t token : tokens_) absl::StrAppend(&key, " ", token);
    absl::StrAppend(&key, "; told");
    for (const size_t who : told_) absl::StrAppend(&key, " ", who);
    return key;
  }

  const std::string& violation() const { return violation_; }

  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { Close(); }

 private:
  void Open() {
    store_ = *Store::Open(folder_);
    files_ = *ArtifactFiles::Open(folder_);
    queue_ = *JobQueue::Start(*store_, *files_, *clock_, QueueOptions());
  }
  void Close() {
    queue_.reset();
    files_.reset();
    store_.reset();
  }
  void Fail(const std::string& why) {
    if (violation_.empty()) violation_ = why;
  }
  void Advance(absl::Duration by) {
    clock_->Advance(by);
    queue_->RunDue();
  }

  void Finish(size_t which, v1::Attempt::State outcome) {
    v1::FinishAttemptRequest request;
    request.set_session(sessions_[owner_[which]]);
    request.set_token(forge_tokens_ ? Job().token.value : tokens_[which]);
    request.set_outcome(outcome);
    if (outcome == v1::Attempt::SUCCEEDED) {
      *request.add_artifacts() = Folders::Get().result();
    }
    const auto response = AskQueue<v1::FinishAttemptResponse>(
        *queue_, &JobQueue::FinishAttempt, request);
    if (response.ok() && outcome == v1::Attempt::SUCCEEDED) {
      told_.insert(which);
      if (response->job_state() != v1::Job::SUCCEEDED) {
        Fail("a result was taken, and its job did not succeed");
      }
    }
  }

  JobRow Job() const {
    std::optional<JobRow> row;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto jobs = reader.ListJobs(SweepId{1});
                      if (!jobs.ok()) return jobs.status();
                      row = jobs->at(0);
                      return absl::OkStatus();
                    })
                    .ok());
    return *row;
  }

  void Check(v1::Job::State before, Act act) {
    const JobRow job = Job();
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto attempts = reader.ListAttempts(job.id);
                      if (!attempts.ok()) return attempts.status();
                      attempts_ = *attempts;
                      return absl::OkStatus();
                    })
                    .ok());
    int running = 0, succeeded = 0;
    for (const AttemptRow& attempt : attempts_) {
      running += attempt.state == v1::Attempt::RUNNING;
      succeeded += attempt.state == v1::Attempt::SUCCEEDED;
    }
    if (told_.size() > 1) Fail("two attempts were told that they committed");
    if (running != (job.state == v1::Job::RUNNING)) {
      Fail("the job's state is not that of its attempts");
    }
    if (running == 1 && attempts_.back().state != v1::Attempt::RUNNING) {
      Fail("an attempt runs that is not the newest");
    }
    if (static_cast<int>(queue_->Leases().size()) != running) {
      Fail("leases are not those of running attempts");
    }
    if (succeeded != (job.state == v1::Job::SUCCEEDED)) {
      Fail("not one success for a job that succeeded");
    }
    if (IsFinal(before) && job.state != before &&
        (act != Act::kRetry || before == v1::Job::SUCCEEDED)) {
      Fail("a final state changed without a person");
    }
  }

  const std::string folder_;
  const bool forge_tokens_;
  const std::unique_ptr<FakeClock> clock_ = std::make_unique<FakeClock>();
  std::unique_ptr<Store> store_;
  std::unique_ptr<ArtifactFiles> files_;
  std::unique_ptr<JobQueue> queue_;
  std::vector<int64_t> sessions_ = {0, 0};
  std::vector<std::set<int64_t>> held_ = {{}, {}};
  // Every token that reached a worker, and whose it was.
  std::vector<int64_t> tokens_;
  std::vector<size_t> owner_;
  // Places in `tokens_` of those who were told that their result is taken.
  std::set<size_t> told_;
  std::vector<AttemptRow> attempts_;
  std::string violation_;
};

std::unique_ptr<World> Reach(const Path& path, bool forge_tokens) {
  auto world = std::make_unique<World>(forge_tokens);
  for (const Event& event : path) world->Do(event);
  return world;
}

Exploration ExploreFrom(const Path& start, int depth, bool forge_tokens) {
  return Explore<Path>({"", start, Reach(start, forge_tokens)->Key(), ""},
                       depth, 1'000'000, [&](const Path& from) {
                         std::vector<Step<Path>> steps;
                         const std::vector<Event> events =
                             Reach(from, forge_tokens)->Possible();
                         for (const Event& event : events) {
                           Path path = from;
                           path.push_back(event);
                           const auto world = Reach(path, forge_tokens);
                           steps.push_back({EventName(event), path,
                                            world->Key(), world->violation()});
                         }
                         return steps;
                       });
}

int Depth() {
  const char* wanted = std::getenv("FOLDFARM_MODEL_DEPTH");
  int depth = 0;
  return wanted != nullptr && absl::SimpleAtoi(wanted, &depth) ? depth : kDepth;
}

void ExpectSound(const std::string& name, const Path& start) {
  const Exploration result = ExploreFrom(start, Depth(), false);
  std::cout << "queue model, " << name << ": " << result.states << " states, "
            << result.transitions << " transitions, depth " << result.depth
            << "\n";
  EXPECT_EQ(result.violation, "") << result.Trace();
  EXPECT_GT(result.states, 15u);
}

TEST(QueueModelTest, ANewJobEndsOnceWhateverHappens) {
  ExpectSound("from a new job", {});
}

// Where two attempts could both commit, if ever.
TEST(QueueModelTest, ASuccessorAndTheOneItReplacedNeverBothCommit) {
  ExpectSound("from a lease that ran out and was granted anew",
              {{Act::kAcquire, 0}, {Act::kLease}, {Act::kAcquire, 1}});
}

TEST(QueueModelTest, AJobThatIsBeingCancelledEndsOnceWhateverHappens) {
  ExpectSound("from a cancelled job that runs",
              {{Act::kAcquire, 0}, {Act::kCancel}});
}

// The explorer must be able to find what it looks for.
TEST(QueueModelTest, WithoutTheComparisonOfTokensTwoCommitsAreFound) {
  const Exploration result = ExploreFrom(
      {{Act::kAcquire, 0}, {Act::kLease}, {Act::kAcquire, 1}}, 2, true);
  std::cout << "tokens not compared: " << result.violation << ": "
            << result.Trace() << "\n";
  EXPECT_EQ(result.violation, "two attempts were told that they committed");
}

}  // namespace
}  // namespace foldfarm
