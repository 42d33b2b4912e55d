#include "coordinator/cli/completion.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/rpc/certificates.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/certs.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Paths = Completion::Paths;

// Two sweeps; s1 has two models of two folds.
std::vector<Candidate> Names(NameKind kind, const std::string& of) {
  switch (kind) {
    case NameKind::kSweep:
      return {{"s1", "mars, running"}, {"s2", "test, failed"}};
    case NameKind::kJob:
      if (of != "s1") return {};
      return {{"s1/gru/0", ""},
              {"s1/gru/1", ""},
              {"s1/vit/0", ""},
              {"s1/vit/1", ""}};
    case NameKind::kDataset:
      return {{"mars", ""}, {"moon", ""}};
    case NameKind::kWeights:
      return {{"resnet34", ""}};
    case NameKind::kWorker:
      return {{"gpu-1", "online"}};
  }
  return {};
}

class CompleteTest : public testing::Test {
 protected:
  CompleteTest() {
    app_.add_option("-o,--output", text_, "How to print")
        ->type_name("table|json");
    app_.add_flag("--no-color", flag_, "Without colour");
    CLI::App* jobs = app_.add_subcommand("jobs", "List jobs");
    jobs->add_option("SWEEP", text_, "")->type_name("")->required();
    jobs->add_option("--state", text_, "")->type_name("pending|failed");
    app_.add_subcommand("job", "Show a job")
        ->add_option("JOB", text_, "")
        ->type_name("");
    app_.add_subcommand("cancel", "Cancel")
        ->add_option("SWEEP|JOB", text_, "")
        ->type_name("");
    app_.add_subcommand("drain", "Drain")
        ->add_option("WORKER", text_, "")
        ->type_name("");
    CLI::App* submit = app_.add_subcommand("submit", "Submit");
    submit->add_option("SWEEP.yaml", text_, "")->type_name("");
    submit->add_option("--dataset", text_, "")->type_name("NAME");
    submit->add_option("--name", text_, "A new one")->type_name("NAME");
    submit->add_option("--set", list_, "")->type_name("KEY=VALUE");
    CLI::App* dataset = app_.add_subcommand("dataset", "Datasets");
    dataset->add_subcommand("show", "Show")
        ->add_option("NAME", text_, "")
        ->type_name("");
    dataset->add_subcommand("import", "Import")
        ->add_option("DIR", text_, "")
        ->type_name("");
    CLI::App* exported = app_.add_subcommand("export", "Export");
    exported->add_option("SWEEP", text_, "")->type_name("");
    exported->add_option("--model", text_, "")->type_name("NAME");
    exported->add_option("--to", list_, "")
        ->type_name("csv|npy|tensorboard,...")
        ->delimiter(',');
    CLI::App* bundle = app_.add_subcommand("bundle", "Bundle");
    bundle->add_option("SWEEP", text_, "")->type_name("");
    bundle->add_option("--models", text_, "")->type_name("greedy:N|NAME,...");
    bundle->add_option("--tta", list_, "")->type_name("N,...");
    app_.add_subcommand("retry", "Retry")
        ->add_option("SWEEP|JOB", list_, "")
        ->type_name("...");
    app_.add_subcommand("predict", "Predict")
        ->add_option("SWEEP|BUNDLE", text_, "")
        ->type_name("");
    app_.add_subcommand("secret", "Hidden")->group("");
  }

  Completion At(const std::vector<std::string>& words) {
    return Complete(app_, words, Names);
  }
  std::vector<std::string> Words(const std::vector<std::string>& words) {
    std::vector<std::string> found;
    for (const Candidate& one : At(words).candidates) found.push_back(one.word);
    return found;
  }

  CLI::App app_{"", "foldfarm"};
  std::string text_;
  std::vector<std::string> list_;
  bool flag_ = false;
};

TEST_F(CompleteTest, OffersCommandsButNotHiddenOnes) {
  EXPECT_THAT(
      Words({""}),
      UnorderedElementsAre("jobs", "job", "cancel", "drain", "submit",
                           "dataset", "export", "bundle", "retry", "predict"));
  EXPECT_THAT(Words({"jo"}), UnorderedElementsAre("jobs", "job"));
  EXPECT_THAT(Words({"-o", "json", "dr"}), ElementsAre("drain"));
  EXPECT_THAT(Words({"dataset", ""}), UnorderedElementsAre("show", "import"));
  EXPECT_THAT(Words({"help", "dr"}), ElementsAre("drain"));
}

TEST_F(CompleteTest, OffersOptionsOfTheCommandAndGlobalOnesOnce) {
  EXPECT_THAT(
      Words({"jobs", "--"}),
      UnorderedElementsAre("--help", "--state", "--output", "--no-color"));
  EXPECT_THAT(Words({"jobs", "--state", "failed", "--s"}), IsEmpty());
  EXPECT_THAT(Words({"submit", "--set", "a=1", "--se"}), ElementsAre("--set"));
  EXPECT_THAT(Words({"jobs", "--", "--"}), IsEmpty());
}

TEST_F(CompleteTest, OffersChoicesAfterABlankOrAnEqualsSign) {
  EXPECT_THAT(Words({"jobs", "s1", "--state", ""}),
              ElementsAre("pending", "failed"));
  EXPECT_THAT(Words({"jobs", "--state=f"}), ElementsAre("--state=failed"));
  EXPECT_THAT(Words({"jobs", "-o", "j"}), ElementsAre("json"));
}

TEST_F(CompleteTest, OffersNamesWhereTheyBelong) {
  EXPECT_THAT(Words({"jobs", ""}), ElementsAre("s1", "s2"));
  EXPECT_THAT(Words({"jobs", "--state", "failed", "s2"}), ElementsAre("s2"));
  EXPECT_THAT(Words({"drain", ""}), ElementsAre("gpu-1"));
  EXPECT_THAT(Words({"submit", "--dataset", "mo"}), ElementsAre("moon"));
  EXPECT_THAT(Words({"submit", "--dataset=ma"}), ElementsAre("--dataset=mars"));
  EXPECT_THAT(Words({"dataset", "show", ""}), ElementsAre("mars", "moon"));
  EXPECT_THAT(Words({"export", "s1", "--model", ""}),
              ElementsAre("gru", "vit"));
  // A new name is the user's to make.
  EXPECT_THAT(Words({"submit", "--name", ""}), IsEmpty());
}

TEST_F(CompleteTest, OffersOfAListWhatIsNotYetInIt) {
  EXPECT_THAT(Words({"export", "s1", "--to", ""}),
              ElementsAre("csv", "npy", "tensorboard"));
  EXPECT_EQ(At({"export", "s1", "--to", ""}).paths, Paths::kNone);
  EXPECT_THAT(Words({"export", "s1", "--to", "npy,"}),
              ElementsAre("npy,csv", "npy,tensorboard"));
  EXPECT_THAT(Words({"export", "s1", "--to=csv,npy,t"}),
              ElementsAre("--to=csv,npy,tensorboard"));
  EXPECT_THAT(Words({"bundle", "s1", "--models", ""}),
              ElementsAre("gru", "vit"));
  EXPECT_THAT(Words({"bundle", "s1", "--models", "gru,v"}),
              ElementsAre("gru,vit"));
  EXPECT_EQ(At({"bundle", "s1", "--models", ""}).paths, Paths::kNone);
  // Numbers are neither names nor files.
  EXPECT_THAT(Words({"bundle", "s1", "--tta", ""}), IsEmpty());
  EXPECT_EQ(At({"bundle", "s1", "--tta", ""}).paths, Paths::kNone);
}

TEST_F(CompleteTest, OffersEachOfSeveralArguments) {
  EXPECT_THAT(Words({"retry", ""}), ElementsAre("s1", "s2"));
  EXPECT_THAT(Words({"retry", "s1/gru/0", "s1/"}),
              ElementsAre("s1/gru/", "s1/vit/"));
  EXPECT_THAT(Words({"retry", "s1/gru/0", "s1/gru/1", ""}),
              ElementsAre("s1", "s2"));
  EXPECT_EQ(At({"retry", "s1/gru/0", ""}).paths, Paths::kNone);
}

TEST_F(CompleteTest, OffersSweepsBesideFolders) {
  EXPECT_THAT(Words({"predict", ""}), ElementsAre("s1", "s2"));
  EXPECT_EQ(At({"predict", ""}).paths, Paths::kFolders);
}

TEST_F(CompleteTest, OffersJobsStepByStep) {
  EXPECT_THAT(Words({"job", "s"}), ElementsAre("s1/", "s2/"));
  EXPECT_TRUE(At({"job", "s"}).goes_on);
  EXPECT_THAT(Words({"job", "s1/"}), ElementsAre("s1/gru/", "s1/vit/"));
  EXPECT_TRUE(At({"job", "s1/"}).goes_on);
  EXPECT_THAT(Words({"job", "s1/vit/"}), ElementsAre("s1/vit/0", "s1/vit/1"));
  EXPECT_FALSE(At({"job", "s1/vit/"}).goes_on);
  EXPECT_THAT(Words({"cancel", "s"}), ElementsAre("s1", "s2"));
  EXPECT_THAT(Words({"cancel", "s1/g"}), ElementsAre("s1/gru/"));
}

TEST_F(CompleteTest, LeavesPathsToTheShell) {
  EXPECT_EQ(At({"submit", ""}).paths, Paths::kFiles);
  EXPECT_EQ(At({"dataset", "import", "d"}).paths, Paths::kFolders);
  EXPECT_EQ(At({"jobs", ""}).paths, Paths::kNone);
}

TEST_F(CompleteTest, HasNothingToSayAfterNonsense) {
  EXPECT_THAT(Words({"frobnicate", ""}), IsEmpty());
  EXPECT_THAT(Words({"jobs", "--frobnicate=x"}), IsEmpty());
  EXPECT_THAT(Words({}), IsEmpty());
}

TEST_F(CompleteTest, AfterTheLastArgumentOnlyOptionsFollow) {
  EXPECT_THAT(Words({"jobs", "s1", ""}), Contains("--state"));
  EXPECT_THAT(Words({"jobs", "s1", ""}), Not(Contains("s1")));
}

constexpr char kToken[] = "person-0123456789";

// A farm of one sweep for who shows the token.
class GuardedFarm final : public v1::FarmService::Service {
 public:
  grpc::Status ListSweeps(grpc::ServerContext* context,
                          const v1::ListSweepsRequest*,
                          v1::ListSweepsResponse* reply) override {
    const auto shown = context->client_metadata().find("authorization");
    if (shown == context->client_metadata().end() ||
        absl::string_view(shown->second.data(), shown->second.size()) !=
            absl::StrCat("Bearer ", kToken)) {
      return {grpc::StatusCode::UNAUTHENTICATED, "no token"};
    }
    v1::Sweep& sweep = *reply->add_sweeps();
    sweep.set_id("s1");
    sweep.set_name("mars");
    return grpc::Status::OK;
  }
};

// An environment variable, until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* former = std::getenv(name)) former_ = former;
    setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() {
    if (former_.has_value()) {
      setenv(name_, former_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* const name_;
  std::optional<std::string> former_;
};

// The farm's own names, over TLS and with a token.
class CoordinatorNamesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeTemporaryDirectory("completion").value();
    ASSERT_EQ(MakeCerts(folder_, "localhost,127.0.0.1"), 0);
    const auto tls = MakeServerTls({JoinPath(folder_, "localhost.crt"),
                                    JoinPath(folder_, "localhost.key"), ""},
                                   Clock::Real().Now());
    ASSERT_TRUE(tls.ok()) << tls.status();
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", *tls, &port_);
    builder.RegisterService(&farm_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
    EXPECT_TRUE(RemoveRecursively(folder_).ok());
  }

  std::string Ca() const { return JoinPath(folder_, "ca.crt"); }
  std::vector<std::string> Sweeps(const std::vector<std::string>& words) const {
    const NameSource names =
        CoordinatorNames(words, absl::StrCat("127.0.0.1:", port_));
    std::vector<std::string> found;
    // On a busy machine the first call may end before it is connected.
    for (int tries = 0; tries < 10 && found.empty(); ++tries) {
      for (const Candidate& one : names(NameKind::kSweep, "")) {
        found.push_back(one.word);
      }
    }
    return found;
  }

  GuardedFarm farm_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::string folder_;
};

TEST_F(CoordinatorNamesTest, AreAskedForAsTheEnvironmentSays) {
  const ScopedVariable ca("FOLDFARM_TLS_CA", Ca());
  EXPECT_THAT(Sweeps({"status", ""}), IsEmpty());
  const ScopedVariable token("FOLDFARM_TOKEN", kToken);
  EXPECT_THAT(Sweeps({"status", ""}), ElementsAre("s1", "mars"));
}

TEST_F(CoordinatorNamesTest, AreAskedForAsTheLineSaysBeforeTheEnvironment) {
  const ScopedVariable ca("FOLDFARM_TLS_CA", JoinPath(folder_, "none.crt"));
  const std::string file = JoinPath(folder_, "token");
  ASSERT_TRUE(WriteFileAtomically(file, absl::StrCat(kToken, "\n")).ok());
  ASSERT_EQ(chmod(file.c_str(), 0600), 0);
  const std::string token = absl::StrCat("--token-file=", file);
  EXPECT_THAT(Sweeps({"--tls-ca", Ca(), "status", token, ""}),
              ElementsAre("s1", "mars"));
  EXPECT_THAT(
      Sweeps({token, absl::StrCat("--tls-ca=", Ca()), "status", "--output"}),
      ElementsAre("s1", "mars"));
  const ScopedVariable home("HOME", folder_);
  EXPECT_THAT(Sweeps({"--tls-ca", "~/ca.crt", "status", token, ""}),
              ElementsAre("s1", "mars"));
  // The last word is not finished, and nothing yet.
  EXPECT_THAT(Sweeps({token, "status", "--tls-ca", Ca()}), IsEmpty());
}

TEST(CompletionTextTest, IsALineOfKindAndThenALineACandidate) {
  Completion completion;
  completion.candidates = {{"s1/", "mars,\nrunning"}, {"s2/", ""}};
  completion.goes_on = true;
  EXPECT_EQ(CompletionText(completion),
            "words nospace\ns1/\tmars, running\ns2/\n");
  completion = Completion();
  completion.paths = Paths::kFolders;
  EXPECT_EQ(CompletionText(completion), "folders\n");
}

TEST(ChoicesTest, AreLowerCaseWordsOnly) {
  EXPECT_THAT(Choices("table|json"), ElementsAre("table", "json"));
  EXPECT_THAT(Choices("safetensors"), ElementsAre("safetensors"));
  EXPECT_THAT(Choices("csv|npy,..."), ElementsAre("csv", "npy"));
  EXPECT_THAT(Choices("NAME,..."), IsEmpty());
  EXPECT_THAT(Choices("SWEEP|JOB"), IsEmpty());
  EXPECT_THAT(Choices("F.csv"), IsEmpty());
  EXPECT_THAT(Choices(""), IsEmpty());
}

}  // namespace
}  // namespace foldfarm
