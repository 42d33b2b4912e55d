// What goes to the farm with a sweep: weights, files of users, --set.
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/json_text.h"
#include "common/rpc/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

using InputsTest = ScriptedFarmTest;

TEST_F(InputsTest, WeightsAreUploadedAndRegisteredUnderAName) {
  const Outcome outcome =
      Run({"weights", "import", Path("w.safetensors"), "--name", "imagenet"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(store_.stored.at(farm_.weights.digest()), weights_);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("imagenet: 1 tensor (safetensors"),
                                 HasSubstr("init: {weights: imagenet}")));
  EXPECT_THAT(Run({"weights", "list"}).out, HasSubstr("imagenet  1.5 KiB"));
  EXPECT_EQ(
      ParseJson(
          Run({"weights", "list", "-o", "json"}).out)["weights"][0]["name"],
      "imagenet");
}

TEST_F(InputsTest, WhatIsNoWeightsIsNotSentAnywhere) {
  Write("short.safetensors", weights_.substr(0, weights_.size() - 4));
  Write("text.pt", "no weights at all");
  for (const char* name : {"short.safetensors", "text.pt", "absent.pt"}) {
    const Outcome outcome =
        Run({"weights", "import", Path(name), "--name", "w"});
    EXPECT_EQ(outcome.exit_status, 1) << name;
    EXPECT_THAT(outcome.err, HasSubstr(name));
  }
  EXPECT_EQ(Run({"weights", "import", Path("w.safetensors"), "--name", "a/b"})
                .exit_status,
            1);
  EXPECT_THAT(store_.stored, IsEmpty());
}

TEST_F(InputsTest, FilesOfASweepGoWithIt) {
  Write("train.py", "print('hello')\n");
  const std::string sweep = Sweep(
      "  - {name: own, arch: {rnn: {}}, init: {weights: w.safetensors}}\n"
      "  - {name: named, arch: {rnn: {}}, init: {weights: imagenet}}\n"
      "  - {name: mine, arch: {exec: {command: [sh], files: [train.py]}}}\n");
  const Outcome outcome = Run({"submit", sweep, "--dataset", "data"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  const v1::SweepSpec& spec = farm_.submitted.spec();
  EXPECT_EQ(store_.stored.at(spec.models(0).init().digest()), weights_);
  EXPECT_THAT(spec.models(1).init().digest(), IsEmpty());
  const v1::ExecFile& file = spec.models(2).arch().exec().uploaded(0);
  EXPECT_EQ(file.name(), "train.py");
  EXPECT_EQ(file.size_bytes(), 15);
  EXPECT_EQ(store_.stored.at(file.digest()), "print('hello')\n");
  EXPECT_THAT(outcome.err, HasSubstr("--allow-exec; until one is, mine will"));
  farm_.allow_exec = true;
  EXPECT_THAT(Run({"submit", sweep, "--dataset", "data"}).err,
              Not(HasSubstr("--allow-exec")));
}

TEST_F(InputsTest, AFileThatIsWrongIsNamedBeforeAnythingIsSent) {
  Write("cut.safetensors", weights_.substr(0, 20));
  const std::string sweep = Sweep(
      "  - {name: a, arch: {rnn: {}}, init: {weights: cut.safetensors}}\n"
      "  - {name: b, arch: {rnn: {}}, init: {weights: there/is/none}}\n"
      "  - {name: c, arch: {rnn: {}}, init: {weights: w.safetensors, format: "
      "pytorch}}\n"
      "  - {name: d, arch: {exec: {command: [sh], files: [none.py]}}}\n");
  for (const char* flag : {"--dry-run", "--no-reuse"}) {
    const Outcome outcome = Run({"submit", sweep, "--dataset", "data", flag});
    EXPECT_EQ(outcome.exit_status, 1);
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("sweep.yaml:4:48: model 'a': init.weights: "),
                      HasSubstr("there/is/none: no such file"),
                      HasSubstr("the file is safetensors, expected pytorch"),
                      HasSubstr("sweep.yaml:7:52: model 'd': exec.files: ")));
  }
  EXPECT_THAT(store_.stored, IsEmpty());
  EXPECT_THAT(farm_.submitted.dataset(), IsEmpty());
}

TEST_F(InputsTest, RunRefusesUsersProgramsUnlessTheyAreAllowed) {
  const std::string sweep =
      Sweep("  - {name: mine, arch: {exec: {command: [sh]}}}\n");
  const Outcome outcome =
      Run({"run", sweep, "--data", directory_, "--dir", Path("out")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("mine would run programs that the sweep "
                                     "brings (arch: exec); if you trust them, "
                                     "run it with --allow-exec"));
  EXPECT_FALSE(IsDirectory(Path("out")));
}

TEST_F(InputsTest, MistakesOfSetAreNamedWithWhatWasSaid) {
  const Outcome outcome =
      Run({"submit", Sweep("  - {name: gru, arch: {rnn: {}}}\n"), "--dry-run",
           "--set", "train.epchs=1"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("--set train.epchs=1: unknown key 'epchs' "
                                     "in train (did you mean 'epochs'?)"));
}

TEST_F(InputsTest, SubmitNeedsADatasetUnlessItIsADryRun) {
  const Outcome outcome =
      Run({"submit", Sweep("  - {name: gru, arch: {rnn: {}}}\n")});
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--dataset is required"));
}

TEST_F(InputsTest, WhatTheCoordinatorCannotDoNowIsNoAbsentCoordinator) {
  farm_.cancel_status = ToGrpc(
      absl::UnavailableError("database: COMMIT: database or disk is full"));
  const Outcome refused = Run({"cancel", "s1"});
  EXPECT_EQ(refused.exit_status, 1) << refused.err;
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("cannot do it now: database: COMMIT: database or "
                              "disk is full"),
                    Not(HasSubstr("start one"))));
  server_->Shutdown();
  const Outcome absent = Run({"cancel", "s1"});
  EXPECT_EQ(absent.exit_status, 3) << absent.err;
  EXPECT_THAT(absent.err, HasSubstr("no coordinator answers"));
}

}  // namespace
}  // namespace foldfarm
