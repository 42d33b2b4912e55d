// Commands that send files to the farm or fetch them, and the dry run, against
// a farm that answers from a script and a store in memory.
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/cli/cli.h"
#include "coordinator/cli/dry_run.h"
#include "coordinator/cli/export.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/rpc/fake_artifact_service.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using Json = nlohmann::json;

// A farm with one dataset of two labels, and one sweep: gru/0 is done, gru/1
// failed, trees/0 is done.
class ScriptedFarm : public v1::FarmService::Service {
 public:
  grpc::Status GetDataset(grpc::ServerContext*,
                          const v1::GetDatasetRequest* request,
                          v1::Dataset* reply) override {
    reply->set_name(request->name());
    reply->add_labels()->set_label("oxalate");
    reply->add_labels()->set_label("sulfide");
    return grpc::Status::OK;
  }
  grpc::Status GetSweep(grpc::ServerContext*, const v1::GetSweepRequest*,
                        v1::Sweep* reply) override {
    reply->set_id("s1");
    reply->set_name("mars");
    reply->set_dataset("data");
    return grpc::Status::OK;
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*,
                        v1::ListJobsResponse* reply) override {
    for (const v1::GetJobResponse& job : jobs) {
      *reply->add_jobs() = job.job();
    }
    return grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::GetJobResponse* reply) override {
    for (const v1::GetJobResponse& job : jobs) {
      if (job.job().name() == request->job()) *reply = job;
    }
    return grpc::Status::OK;
  }
  grpc::Status SubmitSweep(grpc::ServerContext*,
                           const v1::SubmitSweepRequest* request,
                           v1::SubmitSweepResponse* reply) override {
    submitted = *request;
    reply->set_sweep("s1");
    return grpc::Status::OK;
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* reply) override {
    v1::Worker& worker = *reply->add_workers();
    worker.set_name("gpu-1");
    worker.set_state(v1::Worker::ONLINE);
    worker.set_allow_exec(allow_exec);
    return grpc::Status::OK;
  }
  grpc::Status RegisterWeights(grpc::ServerContext*,
                               const v1::RegisterWeightsRequest* request,
                               v1::Weights* reply) override {
    reply->set_name(request->name());
    reply->set_digest(request->digest());
    reply->set_size_bytes(1536);
    weights = *reply;
    return grpc::Status::OK;
  }
  grpc::Status ListWeights(grpc::ServerContext*, const v1::ListWeightsRequest*,
                           v1::ListWeightsResponse* reply) override {
    if (!weights.name().empty()) *reply->add_weights() = weights;
    return grpc::Status::OK;
  }

  void AddJob(const std::string& model, int fold, v1::Job::State state,
              const std::map<std::string, std::string>& artifacts) {
    v1::GetJobResponse& job = jobs.emplace_back();
    job.mutable_job()->set_name(absl::StrCat("s1/", model, "/", fold));
    job.mutable_job()->set_model(model);
    job.mutable_job()->set_fold(fold);
    job.mutable_job()->set_state(state);
    job.mutable_model()->set_name(model);
    for (const auto& [name, data] : artifacts) {
      v1::ArtifactRef& ref = *job.add_artifacts();
      ref.set_name(name);
      ref.set_digest(Sha256Hex(data));
      ref.set_size_bytes(static_cast<int64_t>(data.size()));
    }
  }

  std::vector<v1::GetJobResponse> jobs;
  v1::SubmitSweepRequest submitted;
  v1::Weights weights;
  bool allow_exec = false;
};

struct Outcome {
  int exit_status = 0;
  std::string out;
  std::string err;
};

class InputsTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&farm_);
    builder.RegisterService(&store_);
    server_ = builder.BuildAndStart();
    directory_ = MakeTemporaryDirectory("inputs_test").value();
    TensorFileWriter writer;
    writer.AddF32("fc.weight", {2, 3}, {1, 2, 3, 4, 5, 6});
    weights_ = writer.Serialize();
    Write("w.safetensors", weights_);
  }
  void TearDown() override {
    server_->Shutdown();
    ASSERT_TRUE(RemoveRecursively(directory_).ok());
  }

  Outcome Run(std::vector<std::string> arguments) {
    arguments.push_back("--coordinator");
    arguments.push_back(absl::StrCat("127.0.0.1:", port_));
    std::ostringstream out, err;
    Console console;
    console.out = &out;
    console.err = &err;
    Outcome outcome;
    outcome.exit_status = RunCli(arguments, console);
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }
  std::string Path(const std::string& name) const {
    return JoinPath(directory_, name);
  }
  std::string Write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(Path(name), text).ok());
    return Path(name);
  }
  // A sweep of these models, of two folds.
  std::string Sweep(const std::string& models) {
    return Write("sweep.yaml", absl::StrCat("name: mars\nfolds: {count: 2}\n"
                                            "models:\n",
                                            models));
  }
  // A program in place of foldfarm-trainer.
  std::string Trainer(const std::string& script) {
    const std::string path = Write("trainer", "#!/bin/sh\n" + script);
    chmod(path.c_str(), 0755);
    return path;
  }

  ScriptedFarm farm_;
  FakeArtifactService store_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::string directory_;
  std::string weights_;
};

TEST_F(InputsTest, WeightsAreUploadedAndRegisteredUnderAName) {
  const Outcome outcome =
      Run({"weights", "import", Path("w.safetensors"), "--name", "imagenet"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(store_.stored.at(farm_.weights.digest()), weights_);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("imagenet: 1 tensor (safetensors"),
                                 HasSubstr("init: {weights: imagenet}")));
  EXPECT_THAT(Run({"weights", "list"}).out, HasSubstr("imagenet  1.5 KiB"));
  EXPECT_EQ(
      Json::parse(
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
                AllOf(HasSubstr("model 'a': init.weights: "),
                      HasSubstr("there/is/none: no such file"),
                      HasSubstr("the file is safetensors, expected pytorch"),
                      HasSubstr("model 'd': exec.files: ")));
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

TEST_F(InputsTest, ADryRunListsJobsWithTheirCosts) {
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
  const Json question = Json::parse(ReadFile(Path("question")).value());
  EXPECT_EQ(question["labels"], 10);
  EXPECT_EQ(question["models"][0]["train"]["epochs"], 7);
  // Of a dataset its labels count.
  const Outcome json = Run({"submit", sweep, "--dry-run", "--trainer", trainer,
                            "--dataset", "data", "-o", "json"});
  ASSERT_EQ(json.exit_status, 0) << json.err;
  const Json reply = Json::parse(json.out);
  EXPECT_EQ(reply["totals"]["jobs"], 4);
  EXPECT_EQ(reply["jobs"][2]["model"], "gru");
  EXPECT_EQ(reply["jobs"][2]["multiplyAdds"], 1796000000);
  EXPECT_TRUE(reply["jobs"][1]["memoryBytes"].is_null());
  EXPECT_EQ(Json::parse(ReadFile(Path("question")).value())["labels"], 2);
  EXPECT_THAT(farm_.submitted.dataset(), IsEmpty());
}

TEST_F(InputsTest, ADryRunSaysHowManyJobsTheSweepMayTrain) {
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
  const Json totals = Json::parse(Run(both).out)["totals"];
  EXPECT_EQ(totals["jobs"], 18);
  EXPECT_EQ(totals["trainedAtMost"], 14);
  // The trial of 6, then 2 more folds of 3 models.
  EXPECT_EQ(totals["trainedAtLeast"], 12);
}

TEST_F(InputsTest, ADryRunFailsWithWhatCannotBeBuilt) {
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

TEST_F(InputsTest, ADryRunKnowsTheLabelsOfADataset) {
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

class ExportTest : public InputsTest {
 protected:
  void SetUp() override {
    InputsTest::SetUp();
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
  const Json index = Json::parse(ReadFile(Path("models/index.json")).value());
  EXPECT_EQ(index["labels"], Json({"oxalate", "sulfide"}));
  EXPECT_EQ(index["files"][0]["path"], "gru/0.safetensors");
  EXPECT_EQ(index["files"][0]["sha256"], Sha256Hex(weights_));
  EXPECT_EQ(index["files"][1]["labels"], Json({"sulfide"}));
  EXPECT_EQ(index["unfinished"], Json({"s1/gru/1"}));
  EXPECT_THAT(ReadFile(Path("models/README.txt")).value(),
              AllOf(HasSubstr("oxalate\n  sulfide\n"),
                    HasSubstr("load_file(\"gru/0.safetensors\")")));
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

TEST_F(ExportTest, OneModelCanBeChosen) {
  EXPECT_EQ(Export({"--model", "trees"}).exit_status, 0);
  EXPECT_FALSE(FileExists(Path("models/gru/0.safetensors")));
  const Outcome outcome = Export({"--model", "tree"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("s1 has no model \"tree\" (did you mean \"trees\"?)"));
  EXPECT_EQ(Export({"--model", "prior"}).exit_status, 1);
}

TEST_F(ExportTest, OtherFormatsAreRefusedWithWhatIsPossible) {
  const Outcome outcome =
      Run({"export", "s1", "--to", "csv,onnx", "--out", Path("models")});
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("onnx"), HasSubstr("safetensors")));
}

TEST(ExportNamesTest, TheWeightsHaveTheShortNameAndNothingLeavesTheFolder) {
  const auto ref = [](const std::string& name) {
    v1::ArtifactRef ref;
    ref.set_name(name);
    return ref;
  };
  EXPECT_THAT(
      ExportNames({ref("history.safetensors"), ref("oof.safetensors"),
                   ref("weights.safetensors"), ref("log"), ref("../../etc")},
                  2),
      ElementsAre(Pair("history.safetensors", "2.history.safetensors"),
                  Pair("log", "2.log"),
                  Pair("weights.safetensors", "2.safetensors")));
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

}  // namespace
}  // namespace foldfarm
