// `foldfarm run` with the real programs, on a small folder of invented samples
// and a trainer that only speaks the attempt contract.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "common/spectra/synthesize.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(60);

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = MakeTemporaryDirectory("run_test").value();
    ASSERT_TRUE(
        SynthesizeDataset(Path("data"), {.samples = 12, .sam = 4, .seed = 3})
            .ok());
  }
  void TearDown() override {
    EXPECT_THAT(ProcessesOfRun(), IsEmpty());
    ASSERT_TRUE(RemoveRecursively(root_).ok());
  }

  std::string Path(const std::string& name) const {
    return JoinPath(root_, name);
  }
  std::string Read(const std::string& name) const {
    return ReadFile(Path(name)).value_or("");
  }

  // Each model named after what the fake trainer is to do.
  void WriteSweep(const std::vector<std::string>& models, int epochs,
                  int folds = 2) {
    std::string yaml = absl::StrCat(
        "name: small\nfolds: {count: ", folds,
        "}\ntta: 1\ndefaults: {train: {epochs: ", epochs, "}}\nmodels:\n");
    for (const std::string& model : models) {
      absl::StrAppend(&yaml, "  - {name: ", model, ", arch: {none: {}}}\n");
    }
    ASSERT_TRUE(WriteFileAtomically(Path("sweep.yaml"), yaml).ok());
  }

  std::unique_ptr<Subprocess> Start(const std::string& name) {
    const auto create = [&](const char* suffix) {
      return open(Path(name + suffix).c_str(),
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    };
    const int out = create(".out"), err = create(".err");
    SubprocessOptions options;
    options.argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm"),
                    "run",
                    Path("sweep.yaml"),
                    "--data",
                    Path("data"),
                    "--dir",
                    Path(out_),
                    "--workers",
                    "2",
                    "--trainer",
                    trainer_,
                    "-o",
                    format_};
    options.argv.insert(options.argv.end(), more_.begin(), more_.end());
    options.descriptors = {{1, out}, {2, err}};
    auto process = Subprocess::Spawn(options);
    close(out);
    close(err);
    return std::move(process).value();
  }
  // Runs to the end; what was said is in NAME.out and NAME.err.
  int RunToTheEnd(const std::string& name) {
    const ExitState end = Start(name)->Wait();
    return end.signal != 0 ? -end.signal : end.exit_status;
  }

  // Ids of processes that name this test's folder in their command line.
  std::vector<std::string> ProcessesOfRun() const {
    std::vector<std::string> found;
    const std::vector<std::string> names = ListDirectory("/proc").value();
    for (const std::string& pid : names) {
      if (pid.find_first_not_of("0123456789") != pid.npos) continue;
      const auto line = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
      if (line.ok() && absl::StrContains(*line, root_)) {
        found.push_back(absl::StrCat(pid, " ", *line));
      }
    }
    return found;
  }

  static bool Eventually(absl::FunctionRef<bool()> condition) {
    Clock& clock = Clock::Real();
    return !WaitUnlessCancelled(clock, kPatience, condition);
  }

  // The jobs of sweep s1, or none while nobody answers.
  std::vector<v1::Job> Jobs() const {
    const std::string endpoint =
        Read(absl::StrCat(out_, "/coordinator/endpoint"));
    if (endpoint.empty()) return {};
    const auto stub = v1::FarmService::NewStub(
        MakeChannel(std::string(absl::StripAsciiWhitespace(endpoint))));
    v1::ListJobsRequest request;
    request.set_sweep("s1");
    const auto reply = UnaryCall(
        *static_cast<v1::FarmService::StubInterface*>(stub.get()),
        &v1::FarmService::StubInterface::ListJobs, request, absl::Seconds(5));
    if (!reply.ok()) return {};
    return {reply->jobs().begin(), reply->jobs().end()};
  }
  bool SomeJobHasACheckpoint() const {
    for (const v1::Job& job : Jobs()) {
      if (job.state() == v1::Job::RUNNING && job.epoch() >= 5) return true;
    }
    return false;
  }

  // Jobs of sweep s1 in a state.
  int64_t CountJobs(v1::Job::State state) const {
    const std::vector<v1::Job> jobs = Jobs();
    return std::count_if(jobs.begin(), jobs.end(), [&](const v1::Job& job) {
      return job.state() == state;
    });
  }

  // Trains s1 until one of its models is done and the other has checkpoints.
  void TrainHalf() {
    WriteSweep({"succeed.a", "slow.b"}, 500);
    const auto run = Start("first");
    ASSERT_TRUE(Eventually([&] {
      return CountJobs(v1::Job::SUCCEEDED) == 2 && SomeJobHasACheckpoint();
    })) << Read("first.err");
    kill(run->pid(), SIGINT);
    ASSERT_EQ(run->Wait().exit_status, 130);
  }

  // Another model in place of the one that is not done.
  void ExpectThatAChangeCancelsWhatIsLeft() {
    WriteSweep({"succeed.a", "slow.c"}, 500);
    const auto run = Start("second");
    EXPECT_TRUE(Eventually([&] {
      return CountJobs(v1::Job::CANCELLED) == 2 &&
             absl::StrContains(Read("second.err"), "Sweep s2");
    })) << Read("second.err");
    EXPECT_EQ(CountJobs(v1::Job::SUCCEEDED), 2);
    kill(run->pid(), SIGINT);
    EXPECT_EQ(run->Wait().exit_status, 130);
    EXPECT_THAT(Read("second.err"),
                AllOf(HasSubstr("s1, the former version, is cancelled: 2 jobs"),
                      HasSubstr("Sweep s2 (small): 4 jobs, 2 done already")));
  }

  std::string root_;
  std::string out_ = "out";
  std::string format_ = "table";
  std::string trainer_ = JoinPath(FOLDFARM_BIN_DIR, "foldfarm-fake-trainer");
  std::vector<std::string> more_;  // Further arguments.
};

TEST_F(RunTest, GoesFromSamplesToAnEnsembleAndLeavesNothingRunning) {
  WriteSweep({"succeed.a", "succeed.b"}, 4);
  ASSERT_EQ(RunToTheEnd("run"), 0) << Read("run.err");
  EXPECT_THAT(Read("run.out"),
              AllOf(HasSubstr("ensemble of 2"), HasSubstr("succeed.a")));
  EXPECT_THAT(Read("run.err"), HasSubstr("4 of 4 jobs done"));
  const auto ensemble = ParseJson(Read("out/ensemble.json"));
  EXPECT_EQ(ensemble["models"].size(), 2u);
  EXPECT_THAT(Read("out/report.html"),
              AllOf(HasSubstr("ensemble of 2"), HasSubstr("</html>")));
  const std::string oof = Read("out/oof.csv");
  EXPECT_EQ(std::count(oof.begin(), oof.end(), '\n'), 1 + 16);
  const std::string metrics = Read("out/metrics.csv");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 1 + 4 * 4);
  for (const char* file :
       {"succeed.a/0", "succeed.a/1", "succeed.b/0", "succeed.b/1"}) {
    EXPECT_TRUE(
        FileExists(Path(absl::StrCat("out/models/", file, ".safetensors"))));
  }
  EXPECT_THAT(ProcessesOfRun(), IsEmpty());
}

TEST_F(RunTest, ARunThatIsOverIsNotTrainedAgain) {
  WriteSweep({"succeed"}, 2);
  ASSERT_EQ(RunToTheEnd("first"), 0) << Read("first.err");
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  EXPECT_THAT(Read("second.err"),
              AllOf(HasSubstr("is imported already"), HasSubstr("Sweep s1"),
                    HasSubstr("2 done already")));
  EXPECT_EQ(Read("first.out"), Read("second.out"));
}

TEST_F(RunTest, KilledAndStartedAgainItGoesOnWhereItWas) {
  WriteSweep({"slow"}, 100);
  {
    const auto run = Start("first");
    ASSERT_TRUE(Eventually([&] { return SomeJobHasACheckpoint(); }))
        << Read("first.err");
    kill(run->pid(), SIGKILL);
    run->Wait();
  }
  // The kernel takes everything with it.
  EXPECT_TRUE(Eventually([&] { return ProcessesOfRun().empty(); }));
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  EXPECT_THAT(Read("second.err"),
              AllOf(HasSubstr("is imported already"), HasSubstr("Sweep s1")));
  const std::string metrics = Read("out/metrics.csv");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 1 + 2 * 100);
}

TEST_F(RunTest, CtrlCKeepsACheckpointAndSaysHowToGoOn) {
  WriteSweep({"slow"}, 100);
  {
    const auto run = Start("first");
    ASSERT_TRUE(Eventually([&] { return SomeJobHasACheckpoint(); }))
        << Read("first.err");
    kill(run->pid(), SIGINT);
    EXPECT_EQ(run->Wait().exit_status, 130);
  }
  EXPECT_THAT(
      Read("first.err"),
      HasSubstr(absl::StrCat("Go on with: foldfarm run ", Path("sweep.yaml"))));
  EXPECT_THAT(ProcessesOfRun(), IsEmpty());
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  // Nothing was trained twice: the second attempt began behind the checkpoint.
  EXPECT_THAT(Read("second.err"), HasSubstr("attempt 2"));
}

TEST_F(RunTest, AChangedSweepTrainsOnlyWhatChanged) {
  WriteSweep({"succeed.a"}, 2);
  ASSERT_EQ(RunToTheEnd("first"), 0) << Read("first.err");
  WriteSweep({"succeed.a", "succeed.b"}, 2);
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  EXPECT_THAT(Read("second.err"), AllOf(HasSubstr("changed since the last run"),
                                        HasSubstr("4 jobs, 2 done already")));
}

TEST_F(RunTest, WeightsOfModelsThatAreGoneGoFromItsFolder) {
  WriteSweep({"succeed.a", "succeed.b"}, 2);
  ASSERT_EQ(RunToTheEnd("first"), 0) << Read("first.err");
  EXPECT_THAT(Read("first.err"), Not(HasSubstr("removed: ")));
  EXPECT_TRUE(FileExists(Path("out/models/succeed.a/0.safetensors")));
  WriteSweep({"succeed.b"}, 2);
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  EXPECT_THAT(Read("second.err"),
              AllOf(HasSubstr("removed: "), HasSubstr("of the former run")));
  EXPECT_FALSE(FileExists(Path("out/models/succeed.a")));
  EXPECT_TRUE(FileExists(Path("out/models/succeed.b/0.safetensors")));
}

TEST_F(RunTest, AnUnknownDeviceIsRefusedBeforeAnythingStarts) {
  WriteSweep({"succeed"}, 2);
  more_ = {"--device", "tpu"};
  EXPECT_EQ(RunToTheEnd("run"), 2);
  EXPECT_THAT(Read("run.err"), HasSubstr("--device: got \"tpu\""));
  EXPECT_FALSE(FileExists(Path("out")));
}

TEST_F(RunTest, AWorkerThatRefusesItsOptionsIsNotStartedAgain) {
  WriteSweep({"succeed"}, 2);
  // A trainer that sees no GPU.
  trainer_ = Path("trainer");
  ASSERT_TRUE(WriteFileAtomically(trainer_, "#!/bin/sh\necho cpu\n").ok());
  ASSERT_EQ(chmod(trainer_.c_str(), 0755), 0);
  more_ = {"--device", "cuda:63"};
  EXPECT_EQ(RunToTheEnd("run"), 1);
  EXPECT_THAT(Read("run.err"),
              AllOf(HasSubstr("ended with status 2"),
                    HasSubstr("the trainer does not see cuda:63"),
                    Not(HasSubstr("it is started again"))));
}

TEST_F(RunTest, TheProgramsOfAFarmTellTheirVersion) {
  const auto version = [&](const std::string& program) {
    const int out = open(Path("version").c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    SubprocessOptions options;
    options.argv = {JoinPath(FOLDFARM_BIN_DIR, program), "--version"};
    options.descriptors[1] = out;
    auto process = Subprocess::Spawn(options);
    close(out);
    EXPECT_EQ(std::move(process).value()->Wait().exit_status, 0) << program;
    return Read("version");
  };
  const std::string worker = version("foldfarm-worker");
  EXPECT_THAT(worker, HasSubstr("."));
  EXPECT_EQ(version("foldfarm-coordinator"), worker);
  EXPECT_EQ(version("foldfarm"), absl::StrCat("foldfarm ", worker));
}

TEST_F(RunTest, WhatTheFormerVersionDidNotFinishIsCancelled) {
  ASSERT_NO_FATAL_FAILURE(TrainHalf());
  ExpectThatAChangeCancelsWhatIsLeft();
}

TEST_F(RunTest, TheFormerVersionIsFoundAfterAKillBetweenSubmitAndRunJson) {
  ASSERT_NO_FATAL_FAILURE(TrainHalf());
  auto state = ParseJson(Read("out/run.json"));
  ASSERT_EQ(state["sweep"], "s1");
  state["sweep"] = "";
  ASSERT_TRUE(WriteFileAtomically(Path("out/run.json"), JsonText(state)).ok());
  ExpectThatAChangeCancelsWhatIsLeft();
}

TEST_F(RunTest, AChangeThatTheFarmRefusesLeavesTheFormerVersionAsItIs) {
  ASSERT_NO_FATAL_FAILURE(TrainHalf());
  WriteSweep({"succeed.a", "slow.b"}, 500, /*folds=*/50);
  EXPECT_EQ(RunToTheEnd("refused"), 1);
  EXPECT_THAT(Read("refused.err"), HasSubstr("expected at least 50"));
  WriteSweep({"succeed.a", "slow.b"}, 500);
  const auto run = Start("third");
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(Read("third.err"),
                             "Sweep s1 (small): 4 jobs, 2 done already");
  })) << Read("third.err");
  EXPECT_EQ(CountJobs(v1::Job::CANCELLED), 0);
  kill(run->pid(), SIGINT);
  EXPECT_EQ(run->Wait().exit_status, 130);
}

TEST_F(RunTest, TheFolderOfTheDataMayHoldTheRun) {
  out_ = "data/out";
  WriteSweep({"succeed"}, 2);
  ASSERT_EQ(RunToTheEnd("first"), 0) << Read("first.err");
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  EXPECT_THAT(
      Read("second.err"),
      AllOf(HasSubstr("is imported already"), HasSubstr("Sweep s1"),
            HasSubstr("2 done already"), Not(HasSubstr("changed since"))));
}

TEST_F(RunTest, FilesThatWereOnlyTouchedAreNoOtherData) {
  WriteSweep({"succeed"}, 2);
  ASSERT_EQ(RunToTheEnd("first"), 0) << Read("first.err");
  ASSERT_TRUE(WriteFileAtomically(Path("data/train_labels.csv"),
                                  Read("data/train_labels.csv"))
                  .ok());
  ASSERT_EQ(RunToTheEnd("second"), 0) << Read("second.err");
  EXPECT_THAT(Read("second.err"),
              AllOf(HasSubstr("has the same content and is used"),
                    HasSubstr("Sweep s1"), HasSubstr("2 done already"),
                    Not(HasSubstr("changed since"))));
}

TEST_F(RunTest, AFailedJobIsExitOneAndIsTriedAgainByTheNextRun) {
  WriteSweep({"succeed", "bad_configuration"}, 2);
  EXPECT_EQ(RunToTheEnd("first"), 1);
  EXPECT_THAT(Read("first.err"),
              AllOf(HasSubstr("no such luck"), HasSubstr("2 jobs failed")));
  EXPECT_THAT(Read("first.out"), HasSubstr("bad_configuration"));
  EXPECT_EQ(RunToTheEnd("second"), 1);
  EXPECT_THAT(Read("second.err"),
              HasSubstr("Trying again what failed: 2 jobs"));
}

TEST_F(RunTest, TwoRunsDoNotShareAFolder) {
  WriteSweep({"slow"}, 1000);
  const auto run = Start("first");
  ASSERT_TRUE(Eventually([&] { return !Jobs().empty(); })) << Read("first.err");
  EXPECT_EQ(RunToTheEnd("second"), 1);
  EXPECT_THAT(Read("second.err"),
              AllOf(HasSubstr("another run works in this folder"),
                    HasSubstr(absl::StrCat("pid ", run->pid()))));
  kill(run->pid(), SIGINT);
  EXPECT_EQ(run->Wait().exit_status, 130);
}

TEST_F(RunTest, SamplesWithoutFeaturesAreLeftOutAloud) {
  WriteSweep({"succeed"}, 2);
  const std::string features = Path("data/train_features");
  const std::string victim = ListDirectory(features).value().front();
  ASSERT_TRUE(RemoveRecursively(JoinPath(features, victim)).ok());
  EXPECT_EQ(RunToTheEnd("run"), 0);
  EXPECT_THAT(Read("run.err"),
              HasSubstr("1 sample left out, its features file is absent: "
                        "1 of split train"));
}

TEST_F(RunTest, WhatIsOddAboutTheSamplesIsSaid) {
  WriteSweep({"succeed"}, 2);
  // All readings at one time; a sample that names another's file; labels for 8
  // of 16 samples.
  const std::string features = "data/train_features/S0000.csv";
  const std::string metadata =
      absl::StrReplaceAll(Read("data/metadata.csv"),
                          {{Md5Hex(Read(features)), ""}}) +
      "S0099,test,commercial,train_features/S0001.csv,\n";
  ASSERT_TRUE(WriteFileAtomically(Path("data/metadata.csv"), metadata).ok());
  std::string text = "time,temp,m/z,abundance\n";
  for (int i = 0; i < 90; ++i) {
    absl::StrAppend(&text, "0,", 30 + 10 * i, ",18,", 1 + i % 7, "\n", "0,",
                    30 + 10 * i, ",44,", 1 + i % 5, "\n");
  }
  ASSERT_TRUE(WriteFileAtomically(Path(features), text).ok());
  std::string labels = Read("data/train_labels.csv");
  size_t end = 0;
  for (int line = 0; line < 1 + 8; ++line) end = labels.find('\n', end) + 1;
  labels.resize(end);
  ASSERT_TRUE(WriteFileAtomically(Path("data/train_labels.csv"), labels).ok());

  format_ = "json";
  ASSERT_EQ(RunToTheEnd("run"), 0) << Read("run.err");
  EXPECT_THAT(
      Read("run.err"),
      AllOf(HasSubstr("warning: 8 of 16 train samples have no row in a label "
                      "file and are not trained on\n"),
            HasSubstr("warning: 1 sample that models can learn little from:\n"
                      "  S0000: it has 1 scan, expected at least 30: models "
                      "see nothing of it"),
            HasSubstr("warning: 1 sample with the features file of another"),
            HasSubstr("\n  S0099 has that of S0001\n")));
  EXPECT_TRUE(ParseJson(Read("run.out")).is_object()) << Read("run.out");
}

}  // namespace
}  // namespace foldfarm
