// The command line against a coordinator that answers from a script.
#include "coordinator/cli/cli.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

// A farm with one sweep "s1" of two jobs, one failed.
class ScriptedFarm : public v1::FarmService::Service {
 public:
  grpc::Status ListSweeps(grpc::ServerContext*, const v1::ListSweepsRequest*,
                          v1::ListSweepsResponse* reply) override {
    *reply->add_sweeps() = Sweep();
    return grpc::Status::OK;
  }
  grpc::Status GetSweep(grpc::ServerContext*,
                        const v1::GetSweepRequest* request,
                        v1::Sweep* reply) override {
    if (request->sweep() != "s1") return NotFound(request->sweep());
    *reply = Sweep();
    return grpc::Status::OK;
  }
  grpc::Status ListJobs(grpc::ServerContext*,
                        const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* reply) override {
    if (request->sweep() != "s1") return NotFound(request->sweep());
    for (const v1::Job& job : Jobs()) {
      if (request->state() == v1::Job::STATE_UNSPECIFIED ||
          request->state() == job.state()) {
        *reply->add_jobs() = job;
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status WatchSweep(
      grpc::ServerContext*, const v1::WatchSweepRequest* request,
      grpc::ServerWriter<v1::WatchSweepResponse>* writer) override {
    if (request->sweep() != "s1") return NotFound(request->sweep());
    v1::WatchSweepResponse update;
    *update.mutable_sweep() = Sweep();
    for (const v1::Job& job : Jobs()) *update.add_jobs() = job;
    writer->Write(update);
    return grpc::Status::OK;
  }
  grpc::Status SubmitSweep(grpc::ServerContext*,
                           const v1::SubmitSweepRequest* request,
                           v1::SubmitSweepResponse* reply) override {
    submitted = *request;
    reply->set_sweep("s1");
    reply->set_jobs(2);
    return grpc::Status::OK;
  }
  grpc::Status GetOof(grpc::ServerContext*, const v1::GetOofRequest*,
                      grpc::ServerWriter<v1::GetOofResponse>* writer) override {
    v1::GetOofResponse part;
    part.add_labels("basalt");
    part.add_prevalence(0.25);
    if (complete) part.add_models("gru");
    for (const char* id : {"S0000", "S0001"}) {
      v1::GetOofResponse::Row& row = *part.add_rows();
      row.set_sample_id(id);
      row.set_instrument_type("commercial");
      row.add_truth(1);
      row.add_probability(0.75);
      if (complete) row.add_model_probability(0.75);
      writer->Write(part);
      part.clear_rows();
    }
    return grpc::Status::OK;
  }

  v1::SubmitSweepRequest submitted;
  bool complete = true;  // Its model is, on all folds.

 private:
  static grpc::Status NotFound(const std::string& sweep) {
    return {grpc::StatusCode::NOT_FOUND, absl::StrCat("no sweep ", sweep)};
  }
  static v1::Sweep Sweep() {
    v1::Sweep sweep;
    sweep.set_id("s1");
    sweep.set_name("mars");
    sweep.set_state(v1::Sweep::FAILED);
    sweep.set_succeeded(1);
    sweep.set_failed(1);
    sweep.set_models(1);
    sweep.set_folds(2);
    sweep.set_note("screened: 1 of 2 models goes on");
    return sweep;
  }
  static std::vector<v1::Job> Jobs() {
    std::vector<v1::Job> jobs(2);
    for (int fold = 0; fold < 2; ++fold) {
      jobs[fold].set_name(absl::StrCat("s1/gru/", fold));
      jobs[fold].set_model("gru");
      jobs[fold].set_fold(fold);
      jobs[fold].set_epochs(12);
    }
    jobs[0].set_state(v1::Job::SUCCEEDED);
    jobs[0].set_log_loss(0.1234);
    jobs[1].set_state(v1::Job::FAILED);
    jobs[1].set_error("exit 70: out of luck");
    return jobs;
  }
};

struct Outcome {
  int exit_status = 0;
  std::string out;
  std::string err;
};

class CliTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&farm_);
    server_ = builder.BuildAndStart();
    directory_ = MakeTemporaryDirectory("cli_test").value();
  }
  void TearDown() override {
    server_->Shutdown();
    ASSERT_TRUE(RemoveRecursively(directory_).ok());
  }

  Outcome Run(std::vector<std::string> arguments) {
    arguments.push_back("--coordinator");
    arguments.push_back(absl::StrCat("127.0.0.1:", port_));
    return RunAsIs(arguments);
  }
  static Outcome RunAsIs(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    Outcome outcome = RunInto(out, arguments);
    outcome.out = out.str();
    return outcome;
  }
  static Outcome RunInto(std::ostream& out,
                         const std::vector<std::string>& arguments) {
    std::ostringstream err;
    Console console;
    console.out = &out;
    console.err = &err;
    const int exit_status = RunCli(arguments, console);
    return {exit_status, "", err.str()};
  }
  std::string Path(const std::string& name) const {
    return JoinPath(directory_, name);
  }

  ScriptedFarm farm_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::string directory_;
};

TEST_F(CliTest, ListsSweepsAsATable) {
  const Outcome outcome = Run({"sweeps"});
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("s1     mars  failed   2/2"),
                                 Not(HasSubstr("\033"))));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(CliTest, WhatTheFarmDecidedByItselfStandsWithTheSweep) {
  const std::string note = "screened: 1 of 2 models goes on\n";
  EXPECT_THAT(Run({"sweeps"}).out, HasSubstr(note));
  EXPECT_THAT(Run({"status", "s1"}).out, HasSubstr(absl::StrCat("\n", note)));
  EXPECT_THAT(Run({"watch", "s1"}).out, HasSubstr(note));
  EXPECT_EQ(ParseJson(Run({"status", "s1", "-o", "json"}).out)["note"],
            "screened: 1 of 2 models goes on");
}

TEST_F(CliTest, JsonIsOneDocumentWithNamesAsTheProtocolSpellsThem) {
  const Outcome outcome = Run({"sweeps", "-o", "json"});
  EXPECT_EQ(outcome.exit_status, 0);
  const Json json = ParseJson(outcome.out);
  EXPECT_EQ(json["sweeps"][0]["id"], "s1");
  EXPECT_EQ(json["sweeps"][0]["state"], "FAILED");
  EXPECT_EQ(json["sweeps"][0]["running"], 0);  // Zeros are there, too.
}

TEST_F(CliTest, GlobalOptionsStandBeforeOrAfterTheCommand) {
  EXPECT_EQ(ParseJson(Run({"-o", "json", "sweeps"}).out),
            ParseJson(Run({"sweeps", "--output=json"}).out));
}

TEST_F(CliTest, JobsCanBeChosenByState) {
  const Outcome outcome = Run({"jobs", "s1", "--state", "FAILED"});
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("s1/gru/1  failed"),
                                 HasSubstr("exit 70: out of luck"),
                                 Not(HasSubstr("s1/gru/0"))));
}

TEST_F(CliTest, StatusShowsAGridAndWhatFailed) {
  const Outcome outcome = Run({"status", "s1"});
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("MODEL   SCORE  FOLD 0  FOLD 1"),
                                 HasSubstr("gru    0.1234  0.1234  failed\n"),
                                 HasSubstr("s1/gru/1: exit 70: out of luck"),
                                 HasSubstr("foldfarm retry s1")));
}

TEST_F(CliTest, WatchEndsWithFailureWhenAJobFailed) {
  const Outcome outcome = Run({"watch", "s1"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("2 of 2 jobs done, 1 failed"));
  EXPECT_THAT(outcome.err, HasSubstr("foldfarm status s1"));
}

TEST_F(CliTest, CompletionAsksTheCoordinatorThatTheLineNames) {
  const std::string address = absl::StrCat("127.0.0.1:", port_);
  EXPECT_EQ(RunAsIs({"__complete", "--coordinator", address, "status", ""}).out,
            "words\ns1\tmars, failed\nmars\ts1, failed\n");
  EXPECT_EQ(
      RunAsIs({"__complete", "--coordinator=" + address, "job", "s1/gru/"}).out,
      "words\ns1/gru/0\tsucceeded\ns1/gru/1\tfailed\n");
  EXPECT_EQ(
      RunAsIs({"__complete", "--coordinator", "127.0.0.1:1", "status", ""}).out,
      "words\n");
}

TEST_F(CliTest, AnUnknownSweepIsAFailureNamedByTheFarm) {
  for (const char* command : {"status", "jobs", "watch"}) {
    const Outcome outcome = Run({command, "s9"});
    EXPECT_EQ(outcome.exit_status, 1) << command;
    EXPECT_THAT(outcome.err, HasSubstr("no sweep s9"));
  }
}

TEST_F(CliTest, SubmitPrintsNothingButTheIdOnStdout) {
  ASSERT_TRUE(
      WriteFileAtomically(Path("sweep.yaml"),
                          "name: mars\nmodels:\n  - {name: prior, arch: {none: "
                          "{}}}\n")
          .ok());
  const Outcome outcome = Run({"submit", Path("sweep.yaml"), "--dataset",
                               "data", "--priority", "-5", "--no-reuse"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "s1\n");
  EXPECT_EQ(farm_.submitted.dataset(), "data");
  EXPECT_EQ(farm_.submitted.spec().priority(), -5);
  EXPECT_TRUE(farm_.submitted.no_reuse());
  EXPECT_THAT(farm_.submitted.request_id(), Not(IsEmpty()));
}

TEST_F(CliTest, SubmitRefusesAWrongSweepFileBeforeAskingAnyone) {
  ASSERT_TRUE(
      WriteFileAtomically(Path("sweep.yaml"), "name: mars\nmodles: []\n").ok());
  const Outcome outcome = RunAsIs({"submit", Path("sweep.yaml"), "--dataset",
                                   "data", "--coordinator", "127.0.0.1:1"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("sweep.yaml:2:1"));
}

TEST_F(CliTest, OofWritesEveryRowOnce) {
  const Outcome outcome = Run({"oof", "s1", "--out", Path("oof.csv")});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("2 rows"));
  EXPECT_EQ(ReadFile(Path("oof.csv")).value(),
            "sample_id,fold,instrument_type,truth:basalt,ensemble:basalt,"
            "gru:basalt\n"
            "S0000,0,commercial,1,0.750000,0.750000\n"
            "S0001,0,commercial,1,0.750000,0.750000\n");
}

TEST_F(CliTest, OofWritesNoFileWhileNoModelIsComplete) {
  farm_.complete = false;
  const Outcome outcome = Run({"oof", "s1", "--out", Path("oof.csv")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no model of s1 is complete"));
  EXPECT_FALSE(FileExists(Path("oof.csv")));
}

TEST_F(CliTest, NoCoordinatorIsExitThreeWithAdvice) {
  server_->Shutdown();
  const Outcome outcome = Run({"sweeps"});
  EXPECT_EQ(outcome.exit_status, 3);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr(absl::StrCat("127.0.0.1:", port_)),
                    HasSubstr("foldfarm-coordinator --dir DIR --listen"),
                    HasSubstr("FOLDFARM_COORDINATOR")));
  EXPECT_THAT(outcome.out, IsEmpty());
}

// stdout on a full disk: takes everything, and fails when it is flushed.
struct FullDisk : std::stringbuf {
  explicit FullDisk(int number) : error(number) {}
  int sync() override {
    errno = error;
    return -1;
  }
  const int error;
};

TEST_F(CliTest, OutputThatCannotBeWrittenIsAFailure) {
  const auto run = [](const std::vector<std::string>& arguments, int error) {
    FullDisk disk(error);
    std::ostream out(&disk);
    const Outcome outcome = RunInto(out, arguments);
    EXPECT_EQ(outcome.exit_status, 1) << arguments[0];
    return outcome.err;
  };
  const std::string farm = absl::StrCat("--coordinator=127.0.0.1:", port_);
  EXPECT_EQ(run({"sweeps", farm, "-o", "json"}, ENOSPC),
            "error: cannot write the output: No space left on device\n");
  EXPECT_THAT(run({"token", "new", "--role", "worker", "--name", "w"}, EIO),
              HasSubstr("error: cannot write the output: Input/output error"));
  EXPECT_EQ(run({"jobs", "--help"}, 0), "error: cannot write the output\n");
  // `| head -1` has read enough, where SIGPIPE is ignored.
  EXPECT_EQ(run({"jobs", "s1", farm}, EPIPE), "");
}

struct UsageCase {
  std::vector<std::string> arguments;
  std::string message;
};

class UsageTest : public CliTest,
                  public testing::WithParamInterface<UsageCase> {};

TEST_P(UsageTest, WrongUsageIsExitTwoAndSaysWhatIsWrong) {
  const Outcome outcome = RunAsIs(GetParam().arguments);
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().message));
  EXPECT_THAT(outcome.out, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Cases, UsageTest,
    testing::Values(
        UsageCase{{}, "Subcommands:"},
        UsageCase{{"statsu", "s1"},
                  "unknown command \"statsu\" (did you mean \"status\"?)"},
        UsageCase{{"-o", "json", "sweps"}, "did you mean \"sweeps\"?"},
        UsageCase{{"dataset", "improt", "d"},
                  "did you mean \"dataset import\"?"},
        UsageCase{{"frobnicate"},
                  "unknown command \"frobnicate\"\nSee foldfarm --help."},
        UsageCase{{"dataset", "frobnicate"}, "See foldfarm dataset --help."},
        UsageCase{{"jobs", "s1", "--stat", "failed"},
                  "unknown option \"--stat\" (did you mean \"--state\"?)"},
        UsageCase{{"submit", "a.yaml", "--datset=x"},
                  "did you mean \"--dataset\"?"},
        UsageCase{{"jobs", "s1", "--state", "runing"},
                  "--state is \"runing\", expected pending, running, "
                  "succeeded, failed or cancelled (did you mean "
                  "\"running\"?)"},
        UsageCase{{"jobs", "s1", "--state", "done"}, "--state is \"done\""},
        UsageCase{{"completion", "fish"},
                  "SHELL is \"fish\", expected bash or zsh"},
        UsageCase{{"jobs"}, "SWEEP"},
        UsageCase{{"job", "s1/a/0", "s1/a/1"}, "unexpected \"s1/a/1\""},
        UsageCase{{"sweeps", "-o", "jsno"},
                  "--output is \"jsno\", expected table or json (did you mean "
                  "\"json\"?)"},
        UsageCase{{"oof", "s1"}, "--out"},
        UsageCase{
            {"run", "a.yaml", "--data", "d", "--dir", "o", "--device", "tpu"},
            "--device: got \"tpu\", expected auto, cpu or cuda:N"},
        UsageCase{{"run", "a.yaml", "--data", "d", "--dir", "o", "--device",
                   "cuda:0,cuda:1,cuda:0"},
                  "cuda:0 is named twice"},
        UsageCase{{"submit", "a.yaml"}, "--dataset is required"},
        UsageCase{{"dataset"}, "subcommand"}));

}  // namespace
}  // namespace foldfarm
