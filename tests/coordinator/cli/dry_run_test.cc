// submit --dry-run: the jobs, their costs, and what cannot be built.
#include "coordinator/cli/dry_run.h"

#include <nlohmann/json.hpp>
#include <string>

#include "common/base/files.h"
#include "common/base/json_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

using DryRunTest = ScriptedFarmTest;

TEST_F(DryRunTest, ADryRunListsJobsWithTheirCosts) {
  const std::string sweep = Sweep(
      "  - {name: gru, arch: {rnn: {}}, labels: [oxalate]}\n"
      "  - {name: trees, arch: {xgboost: {rounds: 95}}}\n");
  const std::string trainer = Trainer(
      "cat > " + Path("question") +
      "\necho '{\"models\": [{\"name\": \"gru\", \"parameters\": 44718090, "
      "\"multiply_adds\": 1796000000, \"memory_bytes\": 536870912}, "
      "{\"name\": \"trees\", \"parameters\": null, \"multiply_adds\": null, "
      "\"memory_bytes\": null}]}'\n");
  const Outcome outcome = Run({"submit", sweep, "--dry-run", "--trainer",
                               trainer, "--set", "train.epochs=7"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(
      outcome.out,
      "MODEL  FOLD  ARCH     EPOCHS  BATCH  PARAMETERS  MULTIPLY-ADDS     "
      "MEMORY\n"
      "gru       0  rnn           7      8      44.7 M         1.80 G  512.0 "
      "MiB\n"
      "trees     0  xgboost      10      -           -              -          "
      "-\n"
      "gru       1  rnn           7      8      44.7 M         1.80 G  512.0 "
      "MiB\n"
      "trees     1  xgboost      10      -           -              -          "
      "-\n"
      "\n4 jobs: 2 models x 2 folds; all models have 44.7 M parameters and "
      "take 1.80 G multiply-adds an image; the largest job needs about 512.0 "
      "MiB.\n");
  const Json question = ParseJson(ReadFile(Path("question")).value());
  EXPECT_EQ(question["labels"], 10);
  EXPECT_EQ(question["models"][0]["train"]["epochs"], 7);
  // Of a dataset its labels count.
  const Outcome json = Run({"submit", sweep, "--dry-run", "--trainer", trainer,
                            "--dataset", "data", "-o", "json"});
  ASSERT_EQ(json.exit_status, 0) << json.err;
  const Json reply = ParseJson(json.out);
  EXPECT_EQ(reply["totals"]["jobs"], 4);
  EXPECT_EQ(reply["jobs"][2]["model"], "gru");
  EXPECT_EQ(reply["jobs"][2]["multiplyAdds"], 1796000000);
  EXPECT_TRUE(reply["jobs"][1]["memoryBytes"].is_null());
  EXPECT_EQ(ParseJson(ReadFile(Path("question")).value())["labels"], 2);
  EXPECT_TRUE(farm_.submitted.validate_only()) << "nothing is submitted";
}

TEST_F(DryRunTest, ADryRunSaysHowManyJobsTheSweepMayTrain) {
  std::string models;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    absl::StrAppend(&models, "  - {name: ", name, ", arch: {none: {}}}\n");
  }
  const std::string sweep = Sweep(models);
  const auto dry_run = [&](std::vector<std::string> sets) {
    std::vector<std::string> args = {"submit", sweep, "--dry-run", "--trainer",
                                     Trainer("exec cat " + Path("costs"))};
    for (const std::string& set : sets) {
      args.insert(args.end(), {"--set", set});
    }
    return args;
  };
  ASSERT_TRUE(WriteFileAtomically(Path("costs"),
                                  "{\"models\": [{}, {}, {}, {}, {}, {}]}")
                  .ok());
  Outcome outcome = Run(dry_run({"folds.count=3", "screen.keep=4"}));
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("18 jobs: 6 models x 3 folds.\n"
                        "Screening: fold 0 of all models first, then the other "
                        "folds of the best 4.\n"
                        "At most 14 jobs will be trained, at least 14.\n"));
  const std::string stop =
      "stop_when={ensemble_gain_below: 0.001, for_models: 2}";
  outcome = Run(dry_run({"folds.count=3", stop}));
  EXPECT_THAT(outcome.out,
              HasSubstr("Stops when 2 models in a row gained less than 0.001.\n"
                        "At most 18 jobs will be trained, at least 15.\n"));
  outcome = Run(dry_run({"folds.count=3", stop, "order=model_major"}));
  EXPECT_THAT(outcome.out,
              HasSubstr("At most 18 jobs will be trained, at least 9.\n"));
  std::vector<std::string> both =
      dry_run({"folds.count=3", stop, "order=model_major", "screen.keep=4"});
  both.insert(both.end(), {"-o", "json"});
  const Json totals = ParseJson(Run(both).out)["totals"];
  EXPECT_EQ(totals["jobs"], 18);
  EXPECT_EQ(totals["trainedAtMost"], 14);
  // The trial of 6, then 2 more folds of 3 models.
  EXPECT_EQ(totals["trainedAtLeast"], 12);
}

TEST_F(DryRunTest, ADryRunFailsWithWhatCannotBeBuilt) {
  const std::string sweep = Sweep("  - {name: gru, arch: {rnn: {}}}\n");
  Outcome outcome =
      Run({"submit", sweep, "--dry-run", "--trainer",
           Trainer("echo '{\"models\": [{\"name\": \"gru\", \"error\": \"too "
                   "wide\"}]}'\n")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("sweep.yaml: model 'gru': too wide"));
  outcome = Run({"submit", sweep, "--dry-run", "--trainer",
                 Trainer("echo no GPU >&2\nexit 70\n")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("ended with status 70:\nno GPU"));
  outcome = Run(
      {"submit", sweep, "--dry-run", "--trainer", Trainer("echo nonsense\n")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("got \"nonsense"));
  outcome =
      Run({"submit", sweep, "--dry-run", "--trainer", Path("no-trainer")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no-trainer: no such program"));
}

TEST_F(DryRunTest, ADryRunKnowsTheLabelsOfADataset) {
  const Outcome outcome =
      Run({"submit",
           Sweep("  - {name: gru, arch: {rnn: {}}, labels: [oxalat], train: "
                 "{positive_weights: {oxalat: 2}}}\n"),
           "--dry-run", "--dataset", "data"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("model 'gru': labels has \"oxalat\", expected labels "
                        "of dataset data, oxalate, sulfide (did you mean "
                        "'oxalate'?)"));
}

TEST(PlanJobsTest, JobsComeInTheOrderInWhichTheyWouldStart) {
  v1::SweepSpec spec;
  spec.mutable_folds()->set_count(2);
  spec.add_models();
  spec.add_models();
  const auto text = [&] {
    std::string all;
    for (const DryRunJob& job : PlanJobs(spec)) {
      absl::StrAppend(&all, job.model, "/", job.fold, " ");
    }
    return all;
  };
  EXPECT_EQ(text(), "0/0 1/0 0/1 1/1 ");
  spec.set_order(v1::JOB_ORDER_MODEL_MAJOR);
  EXPECT_EQ(text(), "0/0 0/1 1/0 1/1 ");
  (*spec.mutable_folds()->mutable_holdout())["instrument_type"] = "sam_testbed";
  EXPECT_EQ(text(), "0/0 1/0 ");
}

TEST_F(DryRunTest, WithADatasetTheCoordinatorChecksTheSweep) {
  const std::string sweep = Sweep("  - {name: gru, arch: {none: {}}}\n");
  const std::string trainer = Trainer("echo '{\"models\": [{}]}'\n");
  const std::vector<std::string> arguments = {
      "submit", sweep, "--dry-run", "--trainer", trainer, "--dataset", "data"};
  Outcome outcome = Run(arguments);
  EXPECT_THAT(outcome.err,
              HasSubstr("1 of 4 jobs would be reused from earlier sweeps"));
  EXPECT_TRUE(farm_.submitted.validate_only());
  EXPECT_EQ(farm_.submitted.dataset(), "data");
  farm_.submit_status =
      grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "too many folds");
  outcome = Run(arguments);
  EXPECT_EQ(outcome.exit_status, 1) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("too many folds"));
  // Who may only read gets what can be said without.
  farm_.submit_status =
      grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "only clients submit");
  outcome = Run(arguments);
  EXPECT_THAT(outcome.err,
              HasSubstr("Not checked against the farm: only clients submit"));
}

}  // namespace
}  // namespace foldfarm
