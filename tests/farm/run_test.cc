// `foldfarm run` with the real programs, on a small folder of invented samples
// and a trainer that only speaks the attempt contract.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
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

  // Two folds; each model named after what the fake trainer is to do.
  void WriteSweep(const std::vector<std::string>& models, int epochs) {
    std::string yaml = absl::StrCat(
        "name: small\nfolds: {count: 2}\ntta: 1\n"
        "defaults: {train: {epochs: ",
        epochs, "}}\nmodels:\n");
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
                    Path("out"),
                    "--workers",
                    "2",
                    "--trainer",
                    JoinPath(FOLDFARM_BIN_DIR, "foldfarm-fake-trainer")};
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
    const std::string endpoint = Read("out/coordinator/endpoint");
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

  std::string root_;
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
              HasSubstr("1 sample left out, their features files are absent: "
                        "1 of split train"));
}

}  // namespace
}  // namespace foldfarm
