// The time left against made farms whose end is known.
#include <algorithm>
#include <cmath>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/eta.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/farm_simulation.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr int kSeeds = 8;
constexpr int kMoments = 200;
// The promise: within a fifth of the truth. At the very end, where a fifth is
// less than an epoch's scatter, within a fiftieth of the whole.
constexpr double kShare = 0.2;
constexpr double kOfWhole = 0.02;
// A single noisy epoch does not say more: so much of all looks keep the
// promise, none is off by more, and so many of the ranges shown hold the truth.
struct Demand {
  double kept = 0.95;
  double most = 0.35;
  double inside = 0.75;
};
// Where few long jobs are left for workers of which one is half as fast as
// another, whose they become decides, and that hangs on seconds.
constexpr Demand kUnequal = {.kept = 0.85, .most = 1, .inside = 0.5};

struct Scenario {
  const char* name;
  SimulationOptions farm;
  // What is known: all that a watcher sees, or one look without metrics.
  bool with_history = true;
  bool with_workers = true;
  Demand demand = {};
};

std::vector<SimulatedModel> Models(int count, int epochs, double from,
                                   double to) {
  std::vector<SimulatedModel> models;
  for (int i = 0; i < count; ++i) {
    const double share = count == 1 ? 0 : static_cast<double>(i) / (count - 1);
    // Cheap and dear ones take turns.
    const double cost =
        from * std::pow(to / from, i % 2 == 0 ? share : 1 - share);
    models.push_back(
        {absl::StrCat("m", i), epochs + (i % 3) * epochs / 4, cost});
  }
  return models;
}

void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << scenario.name;
}

class SimulatedFarmTest : public testing::TestWithParam<Scenario> {};

TEST_P(SimulatedFarmTest, IsRightWithinAFifthAfterTheFirstEpochOfEachModel) {
  const Scenario& scenario = GetParam();
  double worst = 0;
  int inside = 0, right = 0, looks = 0;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    SimulationOptions options = scenario.farm;
    options.seed = seed;
    const FarmSimulation farm(options);
    SweepHistory history;
    double seen = -1;
    const double begin = farm.first_epoch_of_each_model();
    for (int i = 0; i < kMoments; ++i) {
      const double now = begin + (farm.end() - begin) * i / kMoments;
      farm.Replay(seen, now, history);
      seen = now;
      const std::vector<v1::Job> jobs = farm.JobsAt(now);
      const std::vector<v1::Worker> workers = farm.WorkersAt(now);
      EtaInput input;
      input.jobs = jobs;
      input.now = farm.TimeAt(now);
      if (scenario.with_history) input.history = &history;
      if (scenario.with_workers) input.workers = workers;
      const TimeLeft left = EstimateRemaining(input).sweep;
      const double truth = farm.end() - now;
      const double likely = absl::ToDoubleSeconds(left.likely);
      const double off = std::abs(likely - truth);
      ASSERT_LE(off,
                std::max(scenario.demand.most * truth, kOfWhole * farm.end()))
          << "seed " << seed << ", " << now << " of " << farm.end()
          << " s: said " << likely << ", is " << truth;
      right += off <= std::max(kShare * truth, kOfWhole * farm.end());
      if (truth > kOfWhole * farm.end()) worst = std::max(worst, off / truth);
      ++looks;
      inside +=
          left.low <= absl::Seconds(truth) && absl::Seconds(truth) <= left.high;
    }
  }
  EXPECT_GE(right, scenario.demand.kept * looks) << "of " << looks;
  // What is shown as a range has to deserve the name.
  EXPECT_GE(inside, scenario.demand.inside * looks) << "of " << looks;
  RecordProperty("worst_percent", static_cast<int>(std::lround(100 * worst)));
}

const std::vector<SimulatedWorker> kOne = {{"one", 1, 1}};
const std::vector<SimulatedWorker> kTwo = {{"a", 1, 1}, {"b", 1, 1.1}};
const std::vector<SimulatedWorker> kMixed = {
    {"slow", 1, 1.6}, {"fast", 2, 0.8}, {"usual", 1, 1}};
const std::vector<SimulatedWorker> kMany = {
    {"gpu1", 4, 1}, {"gpu2", 4, 1.3}, {"gpu3", 2, 0.9}};

INSTANTIATE_TEST_SUITE_P(
    Farms, SimulatedFarmTest,
    testing::Values(
        Scenario{"OneModelOneWorker",
                 {.models = Models(1, 20, 3, 3), .workers = kOne}},
        Scenario{"UnequalModelsOneWorker",
                 {.models = Models(6, 12, 0.5, 8), .workers = kOne}},
        Scenario{"ModelMajor",
                 {.models = Models(6, 12, 1, 4),
                  .workers = kTwo,
                  .fold_major = false}},
        Scenario{"UnequalWorkers",
                 {.models = Models(9, 20, 0.5, 6), .workers = kMixed},
                 /*with_history=*/true,
                 /*with_workers=*/true,
                 kUnequal},
        Scenario{"TwentySixModelsTenSlots",
                 {.models = Models(26, 30, 1, 12), .workers = kMany}},
        Scenario{"LongPredictions",
                 {.models = Models(6, 8, 1, 4),
                  .workers = kTwo,
                  .prediction_epochs = 4}},
        Scenario{"SlowStarts",
                 {.models = Models(6, 20, 1, 3),
                  .workers = kTwo,
                  .startup_seconds = 6}},
        Scenario{
            "WarmUp",
            {.models = Models(8, 16, 1, 5), .workers = kMixed, .warm_up = 1.6},
            /*with_history=*/true,
            /*with_workers=*/true,
            kUnequal},
        Scenario{"NoisyEpochs",
                 {.models = Models(8, 16, 1, 5),
                  .workers = kTwo,
                  .epoch_noise = 0.25,
                  .job_noise = 0.06}},
        Scenario{"OneLook",
                 {.models = Models(8, 16, 1, 5), .workers = kMixed},
                 /*with_history=*/false,
                 /*with_workers=*/true,
                 kUnequal},
        Scenario{"WorkersUnknown",
                 {.models = Models(8, 16, 1, 5), .workers = kTwo},
                 /*with_history=*/true,
                 /*with_workers=*/false}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(SimulatedFarm, SaysThatItGuessesWhileMostModelsAreUnseen) {
  const FarmSimulation farm(
      {.models = Models(8, 16, 1, 6), .workers = kOne, .fold_major = false});
  SweepHistory history;
  // In the third epoch of the first model's first fold.
  const double now = farm.first_epoch_of_each_model() / 100;
  farm.Replay(-1, now, history);
  const std::vector<v1::Job> jobs = farm.JobsAt(now);
  ASSERT_GT(jobs[0].epoch(), 0);
  EtaInput input;
  input.jobs = jobs;
  input.now = farm.TimeAt(now);
  input.history = &history;
  EXPECT_THAT(LeftText(EstimateRemaining(input).sweep), HasSubstr(" to "));
}

}  // namespace
}  // namespace foldfarm
