// Model check of a job's life: the real transition table, retry policy and
// fencing comparison in a world where everything that can go wrong does.
//
// The world is one job and its attempts. Whoever was ever granted an attempt
// may say anything about it at any moment, again or never: that is a network
// that loses, doubles, delays and reorders, and workers that are cut off, come
// back and lie. Leases run out at any moment. People do what the table lets
// them. States are finite, for attempts are bounded; all of them are visited.
//
// Events come from kAllJobEvents, outcomes and kinds of failure from the proto
// enums, so that new ones are checked the day they are added.
#include <gtest/gtest.h>

#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/queue/fencing.h"
#include "coordinator/queue/job_state.h"
#include "coordinator/queue/retry_policy.h"
#include "tests/coordinator/queue/explorer.h"

namespace foldfarm {
namespace {

// As many as crash_limit and max_attempts allow together.
constexpr size_t kMostAttempts = 5;
constexpr int kMostPersonEvents = 2;

using Guard = bool (*)(FencingToken, v1::Attempt::State, FencingToken);

struct Model {
  v1::Job::State job = v1::Job::PENDING;
  // attempts[i] has token i + 1; the last is the newest.
  std::vector<v1::Attempt::State> attempts;
  int failed_count = 0, lost_count = 0, slots = 1;
  bool cancel_requested = false, backing_off = false, reused = false;
  int person_events = 0;
  int commits = 0;

  FencingToken newest() const {
    return FencingToken{static_cast<int64_t>(attempts.size())};
  }
  std::string Key() const {
    std::string key = absl::StrCat(job, " ", failed_count, " ", lost_count, " ",
                                   slots, " ", cancel_requested, backing_off,
                                   reused, " ", person_events, " ", commits);
    for (const v1::Attempt::State state : attempts) {
      absl::StrAppend(&key, " ", state);
    }
    return key;
  }
};

class JobModel {
 public:
  explicit JobModel(Guard guard) : guard_(guard) {}

  Step<Model> Start() const {
    const Model model;
    return {"", model, model.Key(), ""};
  }

  std::vector<Step<Model>> Next(const Model& from) const {
    std::vector<Step<Model>> steps;
    const auto add = [&](const std::string& event, const Model& to,
                         bool person = false) {
      steps.push_back({event, to, to.Key(), Violation(from, to, person)});
    };
    for (const JobEvent event : kAllJobEvents) {
      if (IsOfAttempts(event)) continue;
      Model to = from;
      if (event == JobEvent::kGrant ? Grant(to) : PersonDoes(event, to)) {
        add(absl::StrCat("event ", static_cast<int>(event)), to,
            event != JobEvent::kGrant);
      }
    }
    if (from.backing_off) {
      Model to = from;
      to.backing_off = false;
      add("backoff ends", to);
    }
    for (size_t i = 0; i < from.attempts.size(); ++i) {
      if (from.attempts[i] == v1::Attempt::RUNNING) {
        Model to = from;
        End(to, i, {.state = v1::Attempt::LOST});
        add(absl::StrCat("lease ", i + 1, " runs out"), to);
      }
      for (const AttemptEnd& end : Reports()) {
        Model to = from;
        Finish(to, i, end);
        add(absl::StrCat("finish ", i + 1, " ",
                         v1::Attempt::State_Name(end.state), " ",
                         v1::FailureKind_Name(end.kind)),
            to);
      }
    }
    return steps;
  }

 private:
  // Events that follow from how an attempt ended.
  static bool IsOfAttempts(JobEvent event) {
    return event == JobEvent::kSucceed || event == JobEvent::kGiveBack ||
           event == JobEvent::kGiveUp;
  }

  // Everything that a worker can say about an attempt's end.
  static const std::vector<AttemptEnd>& Reports() {
    static const auto& reports = *[] {
      auto* all = new std::vector<AttemptEnd>;
      for (int s = v1::Attempt::State_MIN; s <= v1::Attempt::State_MAX; ++s) {
        const auto state = static_cast<v1::Attempt::State>(s);
        if (state == v1::Attempt::STATE_UNSPECIFIED ||
            state == v1::Attempt::RUNNING || state == v1::Attempt::LOST) {
          continue;
        }
        if (state != v1::Attempt::FAILED) {
          all->push_back({.state = state});
          continue;
        }
        for (int k = v1::FailureKind_MIN; k <= v1::FailureKind_MAX; ++k) {
          all->push_back(
              {.state = state, .kind = static_cast<v1::FailureKind>(k)});
        }
      }
      return all;
    }();
    return reports;
  }

  static bool Grant(Model& m) {
    const auto next = NextJobState(m.job, JobEvent::kGrant);
    if (!next.has_value() || m.backing_off ||
        m.attempts.size() >= kMostAttempts) {
      return false;
    }
    m.job = *next;
    m.attempts.push_back(v1::Attempt::RUNNING);
    return true;
  }

  // What people do to the job itself; to one that runs, they only wish.
  static bool PersonDoes(JobEvent event, Model& m) {
    const auto next = NextJobState(m.job, event);
    if (!next.has_value() || m.person_events >= kMostPersonEvents) return false;
    if (event == JobEvent::kReuse) {
      // At submission, before any attempt.
      if (!m.attempts.empty()) return false;
      m.reused = true;
    }
    ++m.person_events;
    if (m.job == v1::Job::RUNNING) {
      if (event != JobEvent::kCancel || m.cancel_requested) return false;
      m.cancel_requested = true;
      return true;
    }
    if (event == JobEvent::kReopen) m.failed_count = m.lost_count = 0;
    m.job = *next;
    m.backing_off = false;
    return true;
  }

  void Finish(Model& m, size_t i, AttemptEnd end) const {
    const FencingToken token{static_cast<int64_t>(i) + 1};
    if (!guard_(token, m.attempts[i], m.newest())) return;
    if (end.state == v1::Attempt::CANCELLED && !m.cancel_requested) {
      end.state = v1::Attempt::PREEMPTED;
    }
    End(m, i, end);
  }

  static void End(Model& m, size_t i, const AttemptEnd& end) {
    JobFacts facts;
    facts.failed_count = m.failed_count;
    facts.lost_count = m.lost_count;
    facts.slots = m.slots;
    facts.cancel_requested = m.cancel_requested;
    facts.most_slots = 2;
    const Verdict verdict = Judge(RetryOptions(), facts, end);
    const auto next = NextJobState(m.job, verdict.event);
    if (!next.has_value()) return;
    m.attempts[i] = end.state;
    m.job = *next;
    m.failed_count = verdict.failed_count;
    m.lost_count = verdict.lost_count;
    m.slots = verdict.slots;
    m.backing_off = verdict.delay > absl::ZeroDuration();
    m.cancel_requested = false;
    m.commits += verdict.event == JobEvent::kSucceed;
  }

  // Whether a valid result that attempt `i` hands in now is taken.
  bool CanCommit(const Model& m, size_t i) const {
    Model after = m;
    Finish(after, i, {.state = v1::Attempt::SUCCEEDED});
    return after.commits > m.commits;
  }

  std::string Violation(const Model& from, const Model& to, bool person) const {
    int running = 0, can_commit = 0;
    for (size_t i = 0; i < to.attempts.size(); ++i) {
      running += to.attempts[i] == v1::Attempt::RUNNING;
      can_commit += CanCommit(to, i);
    }
    if (to.commits + can_commit > 1) return "two attempts can both commit";
    if (running != (to.job == v1::Job::RUNNING)) {
      return "the job's state is not that of its attempts";
    }
    if (running == 1 && to.attempts.back() != v1::Attempt::RUNNING) {
      return "an attempt runs that is not the newest";
    }
    if (to.job == v1::Job::SUCCEEDED && to.commits != !to.reused) {
      return "a job succeeded without a result";
    }
    if (to.commits > 0 && to.job != v1::Job::SUCCEEDED) {
      return "a result was stored, and the job goes on";
    }
    if (IsFinal(from.job) && to.job != from.job && !person) {
      return "a final state changed by itself";
    }
    if (from.job == v1::Job::SUCCEEDED && to.job != from.job) {
      return "a success was undone";
    }
    return "";
  }

  const Guard guard_;
};

Exploration ExploreWith(Guard guard, std::vector<Model>* visited = nullptr) {
  const JobModel model(guard);
  return Explore<Model>(
      model.Start(), 1000, 2'000'000,
      [&](const Model& from) { return model.Next(from); },
      [&](size_t, const Model& m) {
        if (visited != nullptr) visited->push_back(m);
      });
}

TEST(JobModelTest, NoReachableStateLetsTwoAttemptsCommit) {
  const Exploration result = ExploreWith(MayWrite);
  std::cout << "job model: " << result.states << " states, "
            << result.transitions << " transitions, depth " << result.depth
            << "\n";
  EXPECT_EQ(result.violation, "") << result.Trace();
  EXPECT_TRUE(result.complete);
  EXPECT_GT(result.states, 1000u);
}

TEST(JobModelTest, EveryStateCanStillEndWithoutAPerson) {
  std::vector<Model> visited;
  const Exploration result = ExploreWith(MayWrite, &visited);
  // Backwards from the final states.
  std::vector<std::vector<size_t>> before(result.states);
  for (size_t from = 0; from < result.next.size(); ++from) {
    for (const size_t to : result.next[from]) {
      if (visited[to].person_events == visited[from].person_events) {
        before[to].push_back(from);
      }
    }
  }
  std::vector<bool> ends(result.states);
  std::vector<size_t> open;
  for (size_t i = 0; i < visited.size(); ++i) {
    // Where the bound on attempts is reached, the model ends and not the job.
    if (!IsFinal(visited[i].job) &&
        visited[i].attempts.size() < kMostAttempts) {
      continue;
    }
    ends[i] = true;
    open.push_back(i);
  }
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    for (const size_t from : before[at]) {
      if (!ends[from]) open.push_back(from);
      ends[from] = true;
    }
  }
  for (size_t i = 0; i < visited.size(); ++i) {
    ASSERT_TRUE(ends[i]) << "stuck: " << visited[i].Key();
  }
}

// The explorer must be able to find what it looks for.
TEST(JobModelTest, WithoutTheFencingComparisonTwoCommitsAreFound) {
  const Exploration result = ExploreWith(
      [](FencingToken, v1::Attempt::State, FencingToken) { return true; });
  std::cout << "without fencing, after " << result.states
            << " states: " << result.violation << ": " << result.Trace()
            << "\n";
  EXPECT_EQ(result.violation, "two attempts can both commit");
  // A lease is granted and runs out, and the next is granted.
  EXPECT_EQ(result.trace.size(), 3u) << result.Trace();
}

// Each half of the comparison would do alone; together they are two locks.
TEST(JobModelTest, EitherHalfOfTheComparisonHoldsAlone) {
  const Exploration by_state =
      ExploreWith([](FencingToken, v1::Attempt::State attempt, FencingToken) {
        return attempt == v1::Attempt::RUNNING;
      });
  EXPECT_EQ(by_state.violation, "") << by_state.Trace();
  const Exploration by_token =
      ExploreWith([](FencingToken token, v1::Attempt::State,
                     FencingToken newest) { return token == newest; });
  EXPECT_EQ(by_token.violation, "") << by_token.Trace();
}

}  // namespace
}  // namespace foldfarm
