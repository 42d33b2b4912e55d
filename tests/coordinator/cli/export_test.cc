// export: files that other programs load.
#include "coordinator/cli/export.h"

#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

class ExportTest : public ScriptedFarmTest {
 protected:
  void SetUp() override {
    ScriptedFarmTest::SetUp();
    farm_.AddJob(
        "gru", 0, v1::Job::SUCCEEDED,
        {{"oof.safetensors", "oof"}, {"weights.safetensors", weights_}});
    farm_.AddJob("gru", 1, v1::Job::FAILED, {});
    farm_.AddJob("trees", 0, v1::Job::SUCCEEDED, {{"model.ubj", "trees"}});
    farm_.AddJob("prior", 0, v1::Job::SUCCEEDED, {{"oof.safetensors", "oof"}});
    farm_.jobs[2].mutable_model()->add_labels("sulfide");
    for (const std::string& data : {weights_, std::string("trees")}) {
      store_.stored[Sha256Hex(data)] = data;
    }
  }
  Outcome Export(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"export",      "s1",    "--to",
                                      "safetensors", "--out", Path("models")};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
};

TEST_F(ExportTest, EveryModelBecomesAFileThatOthersLoad) {
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(ReadFile(Path("models/gru/0.safetensors")).value(), weights_);
  EXPECT_EQ(ReadFile(Path("models/trees/0.ubj")).value(), "trees");
  EXPECT_THAT(
      outcome.err,
      AllOf(HasSubstr("no result, hence not exported: s1/gru/1"),
            HasSubstr("their results hold predictions only: s1/prior/0"),
            HasSubstr("Exported 2 jobs")));
  const Json index = ParseJson(ReadFile(Path("models/index.json")).value());
  EXPECT_EQ(index["labels"], Json({"oxalate", "sulfide"}));
  EXPECT_EQ(index["files"][0]["path"], "gru/0.safetensors");
  EXPECT_EQ(index["files"][0]["sha256"], Sha256Hex(weights_));
  EXPECT_EQ(index["files"][1]["labels"], Json({"sulfide"}));
  EXPECT_EQ(index["unfinished"], Json({"s1/gru/1"}));
  EXPECT_THAT(ReadFile(Path("models/README.txt")).value(),
              AllOf(HasSubstr("oxalate\n  sulfide\n"),
                    HasSubstr("load_file(\"gru/0.safetensors\")"),
                    HasSubstr("\nnpy.json  ")));
}

// A fold's predictions of two samples in `draws` draws.
std::string Draws(const std::vector<std::string>& samples, int64_t draws) {
  const std::vector<float> mean(4, 0.25f);
  const std::vector<float> all(4 * static_cast<size_t>(draws), 0.25f);
  TensorFileWriter writer;
  writer.SetMetadata("sample_ids", JsonText(Json(samples)));
  writer.SetMetadata("labels", R"(["oxalate","sulfide"])");
  writer.AddF32("probabilities", {2, 2}, mean);
  writer.AddF32("draws", {draws, 2, 2}, all);
  return writer.Serialize();
}

TEST_F(ExportTest, UnequallyManyDrawsAreLeftOutAndTheRestIsThere) {
  farm_.jobs.clear();
  for (const auto& [model, second] : {std::pair("even", 2), {"uneven", 1}}) {
    for (int fold = 0; fold < 2; ++fold) {
      const std::string bytes =
          Draws(fold == 0 ? std::vector<std::string>{"S0", "S2"}
                          : std::vector<std::string>{"S1", "S3"},
                fold == 0 ? 2 : second);
      store_.stored[Sha256Hex(bytes)] = bytes;
      farm_.AddJob(model, fold, v1::Job::SUCCEEDED,
                   {{"oof.safetensors", bytes}});
    }
    farm_.AddOof(model, {0.75, 0.75});
    farm_.spec.add_models()->set_name(model);
  }
  const Outcome outcome =
      Run({"export", "s1", "--to", "npy", "--out", Path("arrays")});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("without single draws: uneven"));
  EXPECT_TRUE(FileExists(Path("arrays/oof_draws/even.npy")));
  EXPECT_FALSE(FileExists(Path("arrays/oof_draws/uneven.npy")));
}

class TreesTest : public ExportTest {
 protected:
  // A fold of trees that are grown one label at a time; a file holds its name.
  void AddTrees(int fold, const std::vector<std::string>& files) {
    std::map<std::string, std::string> artifacts = {
        {"weights.safetensors", weights_}};
    for (const std::string& file : files) {
      artifacts[file] = file;
      store_.stored[Sha256Hex(file)] = file;
    }
    farm_.AddJob("boosted", fold, v1::Job::SUCCEEDED, artifacts);
    farm_.jobs.back().mutable_model()->mutable_arch()->mutable_xgboost();
  }
  // What index.json says of a file of that model.
  Json LabelsOf(const std::string& name) {
    const Json index = ParseJson(ReadFile(Path("models/index.json")).value());
    for (const Json& file : index["files"]) {
      if (file["path"] == "boosted/" + name) return file["labels"];
    }
    return "not there";
  }
};

TEST_F(TreesTest, OnesOfOneLabelSayWhoseTheyAre) {
  AddTrees(0, {"model-oxalate.ubj", "model-sulfide.ubj"});
  AddTrees(1, {"model.ubj"});
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(ListDirectory(Path("models/boosted")).value(),
              UnorderedElementsAre("0.model-oxalate.ubj", "0.model-sulfide.ubj",
                                   "0.safetensors", "1.ubj", "1.safetensors"));
  EXPECT_EQ(ReadFile(Path("models/boosted/0.model-oxalate.ubj")).value(),
            "model-oxalate.ubj");
  EXPECT_EQ(LabelsOf("0.model-oxalate.ubj"), Json({"oxalate"}));
  EXPECT_EQ(LabelsOf("0.model-sulfide.ubj"), Json({"sulfide"}));
  EXPECT_EQ(LabelsOf("0.safetensors"), Json({"oxalate", "sulfide"}));
  EXPECT_EQ(LabelsOf("1.ubj"), Json({"oxalate", "sulfide"}));
  EXPECT_THAT(ReadFile(Path("models/README.txt")).value(),
              AllOf(HasSubstr("\nMODEL/FOLD.ubj             trees of all"),
                    HasSubstr("\nMODEL/FOLD.model-LABEL.ubj trees of one")));
}

TEST_F(TreesTest, OnesThatAnEarlierVersionMislabelledAreRenamed) {
  AddTrees(0, {"model-oxalate.ubj", "model-sulfide.ubj"});
  ASSERT_TRUE(MakeDirectories(Path("models/boosted")).ok());
  Write("models/boosted/0.ubj", "model-oxalate.ubj");
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("1 were there already"));
  EXPECT_THAT(ListDirectory(Path("models/boosted")).value(),
              UnorderedElementsAre("0.model-oxalate.ubj", "0.model-sulfide.ubj",
                                   "0.safetensors"));
  // Somebody else's stays.
  Write("models/boosted/0.ubj", "mine");
  EXPECT_EQ(Export().exit_status, 0);
  EXPECT_EQ(ReadFile(Path("models/boosted/0.ubj")).value(), "mine");
}

TEST_F(TreesTest, LabelsThatNoFileCanBeNamedByAreFoundAgain) {
  farm_.labels = {"оксид", "глина", "a_b", "a b"};
  AddTrees(0, {"model-__________~0.ubj", "model-__________~1.ubj",
               "model-a_b.ubj", "model-a_b~3.ubj"});
  // Of earlier trainers: the later label's trees were written over the other's.
  AddTrees(1, {"model-__________.ubj", "model-a_b.ubj"});
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(LabelsOf("0.model-__________~0.ubj"), Json({"оксид"}));
  EXPECT_EQ(LabelsOf("0.model-__________~1.ubj"), Json({"глина"}));
  EXPECT_EQ(LabelsOf("0.model-a_b.ubj"), Json({"a_b"}));
  EXPECT_EQ(LabelsOf("0.model-a_b~3.ubj"), Json({"a b"}));
  EXPECT_EQ(LabelsOf("1.model-__________.ubj"), Json({"глина"}));
  EXPECT_EQ(LabelsOf("1.model-a_b.ubj"), Json({"a b"}));
}

struct ForeignFile {
  std::string format;
  std::string name;
};

class ForeignFileTest : public ExportTest,
                        public testing::WithParamInterface<ForeignFile> {};

TEST_P(ForeignFileTest, StaysAsItIsAndNothingIsExported) {
  ASSERT_TRUE(MakeDirectories(Path("home")).ok());
  const std::string file = Write("home/" + GetParam().name, "a,b\n1,2\n");
  const Outcome outcome =
      Run({"export", "s1", "--to", GetParam().format, "--out", Path("home")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(file + " is there and no export "
                                                  "wrote it"),
                                 HasSubstr("move it away")));
  EXPECT_EQ(ReadFile(file).value(), "a,b\n1,2\n");
  EXPECT_EQ(ListDirectory(Path("home")).value(),
            std::vector<std::string>{GetParam().name});
  EXPECT_TRUE(store_.download_offsets.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Names, ForeignFileTest,
    testing::Values(ForeignFile{"safetensors", "README.txt"},
                    ForeignFile{"safetensors", "index.json"},
                    ForeignFile{"csv", "oof.csv"},
                    ForeignFile{"csv", "oof_draws.csv"},
                    ForeignFile{"csv", "metrics.csv"},
                    // Weights are not fetched in vain.
                    ForeignFile{"safetensors,csv", "results.csv"},
                    ForeignFile{"safetensors,npy", "npy.json"}));

TEST_F(ExportTest, OtherFilesMayStandBesideIt) {
  ASSERT_TRUE(MakeDirectories(Path("models")).ok());
  Write("models/README.md", "mine");
  Write("models/results.csv", "mine");
  EXPECT_EQ(Export().exit_status, 0);
  EXPECT_EQ(ReadFile(Path("models/README.md")).value(), "mine");
  EXPECT_EQ(ReadFile(Path("models/results.csv")).value(), "mine");
}

TEST_F(ExportTest, AnIndexOfArraysThatAnEarlierVersionWroteIsReplaced) {
  ASSERT_TRUE(MakeDirectories(Path("models")).ok());
  Write("models/index.json", "{\n \"arrays\": {},\n \"sweep\": \"s1\"\n}\n");
  EXPECT_EQ(Export().exit_status, 0);
  EXPECT_THAT(ReadFile(Path("models/index.json")).value(),
              HasSubstr("gru/0.safetensors"));
}

TEST_F(ExportTest, FilesThatAreThereAreKeptAndOthersReplaced) {
  ASSERT_EQ(Export().exit_status, 0);
  const size_t fetched = store_.download_offsets.size();
  Write("models/trees/0.ubj", "other");
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("1 were there already"));
  EXPECT_EQ(store_.download_offsets.size(), fetched + 1);
  EXPECT_EQ(ReadFile(Path("models/trees/0.ubj")).value(), "trees");
}

TEST_F(ExportTest, WhatAnEarlierExportWroteAndThisOneLacksIsRemoved) {
  ASSERT_EQ(Export().exit_status, 0);
  farm_.jobs.erase(farm_.jobs.begin(), farm_.jobs.begin() + 2);
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("Removed 1 file of an earlier export that this one "
                        "does not have: gru/0.safetensors"));
  EXPECT_FALSE(FileExists(Path("models/gru")));
  EXPECT_EQ(ReadFile(Path("models/trees/0.ubj")).value(), "trees");
  EXPECT_THAT(Export().err, Not(HasSubstr("Removed")));
}

TEST_F(ExportTest, WhatIsTrainedAgainIsNotRemoved) {
  ASSERT_EQ(Export().exit_status, 0);
  farm_.jobs[0].mutable_job()->set_state(v1::Job::PENDING);
  EXPECT_THAT(Export().err, Not(HasSubstr("Removed")));
  EXPECT_EQ(ReadFile(Path("models/gru/0.safetensors")).value(), weights_);
  farm_.jobs.erase(farm_.jobs.begin());
  for (v1::GetJobResponse& job : farm_.jobs) {
    job.mutable_job()->set_state(v1::Job::PENDING);
  }
  EXPECT_EQ(Export().exit_status, 1);
  EXPECT_EQ(ReadFile(Path("models/gru/0.safetensors")).value(), weights_);
  EXPECT_EQ(ReadFile(Path("models/trees/0.ubj")).value(), "trees");
}

TEST_F(ExportTest, NothingButWhatAnExportWroteIsRemoved) {
  ASSERT_EQ(Export().exit_status, 0);
  // One model says nothing of the others.
  EXPECT_THAT(Export({"--model", "trees"}).err, Not(HasSubstr("Removed")));
  EXPECT_EQ(ReadFile(Path("models/gru/0.safetensors")).value(), weights_);
  ASSERT_EQ(Export().exit_status, 0);

  // An index that names what is elsewhere, is a folder, or is no path.
  ASSERT_TRUE(MakeDirectories(Path("elsewhere")).ok());
  Write("elsewhere/x", "precious");
  Write("precious", "precious");
  ASSERT_EQ(symlink(Path("elsewhere").c_str(), Path("models/link").c_str()), 0);
  auto index = ParseOrderedJson(ReadFile(Path("models/index.json")).value());
  for (const std::string& path :
       {std::string("../precious"), Path("precious"), std::string("link/x"),
        std::string("gru/../../precious"), std::string("gru"),
        std::string("never/was")}) {
    nlohmann::ordered_json file;
    file["path"] = path;
    file["sha256"] = Sha256Hex("precious");
    index["files"].push_back(file);
  }
  index["files"].push_back(7);
  Write("models/index.json", JsonText(index, 1) + "\n");
  // Changed since, and never exported.
  Write("models/gru/0.safetensors", "mine");
  Write("models/gru/notes.txt", "mine");
  farm_.jobs.erase(farm_.jobs.begin(), farm_.jobs.begin() + 2);
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("Removed")));
  EXPECT_EQ(ReadFile(Path("precious")).value_or(""), "precious");
  EXPECT_EQ(ReadFile(Path("elsewhere/x")).value_or(""), "precious");
  EXPECT_EQ(ReadFile(Path("models/gru/0.safetensors")).value_or(""), "mine");
  EXPECT_EQ(ReadFile(Path("models/gru/notes.txt")).value_or(""), "mine");
  EXPECT_FALSE(FileExists(Path("models/never")));
}

TEST_F(ExportTest, OneModelCanBeChosen) {
  EXPECT_EQ(Export({"--model", "trees"}).exit_status, 0);
  EXPECT_FALSE(FileExists(Path("models/gru/0.safetensors")));
  const Outcome outcome = Export({"--model", "tree"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("s1 has no model \"tree\" (did you mean \"trees\"?)"));
  EXPECT_EQ(Export({"--model", "prior"}).exit_status, 1);
}

TEST_F(ExportTest, AFoldThatWasRetriedWithOtherOptionsHasItsOwn) {
  farm_.AddJob("gru", 2, v1::Job::SUCCEEDED,
               {{"weights.safetensors", weights_}});
  v1::ModelSpec& model = *farm_.jobs.back().mutable_model();
  model.mutable_representation()->set_min_clip(0.25);
  EXPECT_EQ(Export().exit_status, 0);
  const Json index = ParseJson(ReadFile(Path("models/index.json")).value());
  std::map<std::string, Json> files;
  for (const Json& file : index["files"]) files[file["path"]] = file;
  EXPECT_EQ(files["gru/2.safetensors"]["options"]["representation"]["minClip"],
            0.25);
  EXPECT_FALSE(files["gru/0.safetensors"].contains("options"));
  EXPECT_FALSE(index["models"]["gru"].contains("representation"))
      << "as of the first fold";
}

TEST_F(ExportTest, OtherFormatsAreRefusedWithWhatIsPossible) {
  const Outcome outcome =
      Run({"export", "s1", "--to", "csv,onnx", "--out", Path("models")});
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("onnx"), HasSubstr("safetensors")));
}

std::map<std::string, std::string> NamesOf(
    const std::vector<std::string>& artifacts) {
  std::vector<v1::ArtifactRef> refs;
  for (const std::string& name : artifacts) {
    refs.emplace_back().set_name(name);
  }
  return ExportNames(refs, 2);
}

TEST(ExportNamesTest, TheWeightsHaveTheShortNameAndNothingLeavesTheFolder) {
  EXPECT_THAT(NamesOf({"history.safetensors", "oof.safetensors",
                       "weights.safetensors", "log", "../../etc"}),
              ElementsAre(Pair("history.safetensors", "2.history.safetensors"),
                          Pair("log", "2.log"),
                          Pair("weights.safetensors", "2.safetensors")));
}

TEST(ExportNamesTest, OnlyTreesOfAllLabelsHaveTheShortName) {
  EXPECT_THAT(NamesOf({"model-clay.ubj", "model-salt.ubj"}),
              ElementsAre(Pair("model-clay.ubj", "2.model-clay.ubj"),
                          Pair("model-salt.ubj", "2.model-salt.ubj")));
  EXPECT_THAT(NamesOf({"model.ubj"}), ElementsAre(Pair("model.ubj", "2.ubj")));
}

TEST(ExportNamesTest, NoTwoFilesGoToOnePlace) {
  EXPECT_THAT(NamesOf({"a.log", "log", "b.log"}),
              ElementsAre(Pair("a.log", "2.a.log"), Pair("b.log", "2.b.log"),
                          Pair("log", "2.log")));
}

}  // namespace
}  // namespace foldfarm
