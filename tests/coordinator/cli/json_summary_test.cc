// -o json of commands that write files or make something.
#include "coordinator/cli/json_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

}  // namespace
}  // namespace foldfarm
