// -o json of commands that write files or make something.
#include "coordinator/cli/json_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/rpc/tokens.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// Models "a" and "b" of two folds, complete.
class JsonSummaryTest : public ScriptedFarmTest {
 protected:
  void SetUp() override {
    ScriptedFarmTest::SetUp();
    for (const char* model : {"a", "b"}) {
      farm_.spec.add_models()->set_name(model);
      for (int fold = 0; fold < 2; ++fold) {
        farm_.AddJob(model, fold, v1::Job::SUCCEEDED,
                     {{"weights.safetensors", weights_}});
      }
      farm_.AddOof(model, {0.9, 0.6});
    }
    store_.stored[Sha256Hex(weights_)] = weights_;
  }
  // The one document on stdout, where without -o json there is nothing.
  Json Summary(std::vector<std::string> words) {
    const Outcome people = Run(words);
    EXPECT_EQ(people.exit_status, 0) << people.err;
    EXPECT_EQ(people.out, "");
    words.insert(words.end(), {"-o", "json"});
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
    return ParseJson(outcome.out);
  }
};

TEST_F(JsonSummaryTest, OofTellsItsFileAndRows) {
  const Json expected = {
      {"sweep", "s1"}, {"file", Path("oof.csv")}, {"rows", 4}};
  EXPECT_EQ(Summary({"oof", "s1", "--out", Path("oof.csv")}), expected);
}

TEST_F(JsonSummaryTest, ExportTellsWhatEachFormatWrote) {
  const std::vector<std::string> words = {"export",      "s1",    "--to",
                                          "safetensors", "--out", Path("out")};
  const Json summary = Summary(words);
  EXPECT_EQ(summary["sweep"], "s1");
  EXPECT_EQ(summary["folder"], Path("out"));
  ASSERT_EQ(summary["formats"].size(), 1u) << summary;
  EXPECT_EQ(summary["formats"][0]["format"], "safetensors");
  EXPECT_EQ(summary["formats"][0]["files"], 4);
  EXPECT_EQ(summary["formats"][0]["kept"], 4);
  EXPECT_EQ(summary["unfinished"], Json::array());
}

TEST_F(JsonSummaryTest, BundleTellsItsModelsAndTheirWeights) {
  const Json summary = Summary({"bundle", "s1", "--out", Path("bundle")});
  EXPECT_EQ(summary["folder"], Path("bundle"));
  EXPECT_EQ(summary["networks"], 4);
  EXPECT_EQ(summary["samples"], 4);
  EXPECT_GT(summary["logLoss"], 0);
  const Json models = {{{"name", "a"}, {"weight", 0.5}},
                       {{"name", "b"}, {"weight", 0.5}}};
  EXPECT_EQ(summary["models"], models);
}

TEST_F(JsonSummaryTest, SynthTellsHowManySamplesThereAre) {
  const std::string folder = Path("my data");
  const Outcome outcome = Run({"dataset", "synth", folder, "--samples", "3",
                               "--sam", "1", "--seed", "7", "-o", "json"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json expected = {
      {"folder", folder}, {"commercial", 3}, {"samTestbed", 1}, {"seed", 7}};
  EXPECT_EQ(ParseJson(outcome.out), expected);
  EXPECT_THAT(outcome.err, HasSubstr("foldfarm dataset import '" + folder +
                                     "' --name NAME\n"));
}

TEST_F(JsonSummaryTest, ANewTokenComesWithItsLine) {
  const Outcome outcome =
      Run({"token", "new", "--role", "client", "--name", "anna", "-o", "json"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json summary = ParseJson(outcome.out);
  EXPECT_EQ(summary["role"], "client");
  EXPECT_EQ(summary["name"], "anna");
  ASSERT_TRUE(summary["token"].is_string()) << summary;
  EXPECT_EQ(summary["line"], TokenLine(Role::kClient, "anna",
                                       summary["token"].get<std::string>()));
}

TEST_F(JsonSummaryTest, WhatIsNoJsonIsRefused) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"options", "-o", "json"},
        std::vector<std::string>{"completion", "bash", "-o", "json"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.exit_status, 2) << words[0];
    EXPECT_THAT(outcome.err, HasSubstr("leave out -o json")) << words[0];
    EXPECT_EQ(outcome.out, "") << words[0];
  }
}

TEST_F(JsonSummaryTest, OofNeedsAFolderBeforeItAsksAnybody) {
  server_->Shutdown();
  const Outcome outcome = Run({"oof", "s1", "--out", Path("none/oof.csv")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("there is no folder " + Path("none")),
                    HasSubstr("--out")));
}

TEST_F(JsonSummaryTest, WhatIsNoFileIsNeverReplacedByOne) {
  ASSERT_EQ(symlink("/dev/full", Path("full").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  ASSERT_EQ(symlink("nothing", Path("dangling").c_str()), 0);
  const std::string sweep =
      Sweep("  - {name: a, arch: {conv1d: {widths: [4], kernel: 3}}}\n");
  const std::vector<std::vector<std::string>> commands = {
      std::vector<std::string>{"oof", "s1"},
      std::vector<std::string>{"report", "s1"},
      std::vector<std::string>{"backup"},
      std::vector<std::string>{"predict", "s1", "--dataset", "data"},
      std::vector<std::string>{"render", "--dataset", "data", "--sample", "S0",
                               "--sweep", sweep, "--model", "a"}};
  for (const std::vector<std::string>& command : commands) {
    const auto refusal = [&](const std::string& out) {
      std::vector<std::string> words = command;
      words.insert(words.end(), {"--out", out});
      const Outcome outcome = Run(words);
      EXPECT_EQ(outcome.exit_status, 1) << command[0] << " " << out;
      return outcome.err;
    };
    EXPECT_THAT(refusal(Path("full")),
                HasSubstr("full is a device, expected a file to write"))
        << command[0];
    EXPECT_THAT(refusal(Path("fifo")),
                HasSubstr("fifo is a FIFO, expected a file to write"))
        << command[0];
    EXPECT_THAT(refusal(Path("dangling")),
                HasSubstr("dangling is a symbolic link to nothing"))
        << command[0];
    EXPECT_THAT(refusal(""),
                HasSubstr("--out is empty, expected a file's name"))
        << command[0];
  }
  EXPECT_TRUE(std::filesystem::is_symlink(Path("full")));
  EXPECT_TRUE(std::filesystem::is_fifo(Path("fifo")));
  EXPECT_TRUE(std::filesystem::is_symlink(Path("dangling")));
}

TEST_F(JsonSummaryTest, ALinkToAFileStaysAndTheFileIsWritten) {
  ASSERT_TRUE(MakeDirectories(Path("real")).ok());
  Write("real/oof.csv", "old");
  Write("real/farm.db", "old");
  ASSERT_EQ(symlink("real/oof.csv", Path("oof.csv").c_str()), 0);
  ASSERT_EQ(symlink("real/farm.db", Path("farm.db").c_str()), 0);
  const Outcome oof = Run({"oof", "s1", "--out", Path("oof.csv")});
  EXPECT_EQ(oof.exit_status, 0) << oof.err;
  EXPECT_THAT(oof.err, HasSubstr(absl::StrCat("rows to ", Path("oof.csv"))));
  const Outcome backup = Run({"backup", "--out", Path("farm.db")});
  EXPECT_EQ(backup.exit_status, 0) << backup.err;
  EXPECT_TRUE(std::filesystem::is_symlink(Path("oof.csv")));
  EXPECT_TRUE(std::filesystem::is_symlink(Path("farm.db")));
  EXPECT_THAT(ReadFile(Path("real/oof.csv")).value(), HasSubstr("S0"));
  EXPECT_EQ(ReadFile(Path("real/farm.db")).value(), "database");
}

TEST_F(JsonSummaryTest, WhatIsOpenAlreadyIsNotReplaced) {
  for (const char* stream : {"-", "/dev/stdout", "/dev/fd/1"}) {
    const Outcome outcome = Run({"oof", "s1", "--out", stream});
    EXPECT_EQ(outcome.exit_status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("is a stream that is open already"));
  }
}

TEST_F(JsonSummaryTest, ABackupSaysWhatIsWhere) {
  const Outcome outcome =
      Run({"backup", "--out", Path("farm.db"), "-o", "json"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json summary = ParseJson(outcome.out);
  EXPECT_EQ(summary["file"], Path("farm.db"));
  EXPECT_EQ(summary["bytes"], 8);
}

TEST_F(JsonSummaryTest, EveryFileOfAPredictionIsLookedAtBeforeAnythingRuns) {
  ASSERT_EQ(mkfifo(Path("sub.tta1.csv").c_str(), 0600), 0);
  const Outcome outcome = Run({"predict", "s1", "--dataset", "data", "--tta",
                               "1,4", "--out", Path("sub.csv")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("sub.tta1.csv is a FIFO"));
  EXPECT_TRUE(farm_.predicting.source().empty());
}

}  // namespace
}  // namespace foldfarm
