// Ctrl-C while the `foldfarm` program waits for a farm that has taken its call
// and does not answer.
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "common/base/files.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/coordinator/cli/scripted_farm.h"
#include "tests/testing/loopback_server.h"
#include "tests/testing/terminal.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(30);

// One method takes calls and leaves them open.
class Silence {
 public:
  explicit Silence(std::string method) : method_(std::move(method)) {}

  void Enter(absl::string_view method) {
    if (method != method_) return;
    if (++calls == 1) asked.Notify();
    released.WaitForNotification();
  }

  std::atomic<int> calls = 0;
  absl::Notification asked;
  absl::Notification released;

 private:
  const std::string method_;
};

class SilentFarm final : public ScriptedFarm {
 public:
  explicit SilentFarm(Silence& silence) : silence_(silence) {}

  grpc::Status GetSweep(grpc::ServerContext* context,
                        const v1::GetSweepRequest* request,
                        v1::Sweep* reply) override {
    silence_.Enter("GetSweep");
    return ScriptedFarm::GetSweep(context, request, reply);
  }
  grpc::Status SubmitSweep(grpc::ServerContext* context,
                           const v1::SubmitSweepRequest* request,
                           v1::SubmitSweepResponse* reply) override {
    silence_.Enter("SubmitSweep");
    return ScriptedFarm::SubmitSweep(context, request, reply);
  }
  grpc::Status RegisterWeights(grpc::ServerContext* context,
                               const v1::RegisterWeightsRequest* request,
                               v1::Weights* reply) override {
    silence_.Enter("RegisterWeights");
    return ScriptedFarm::RegisterWeights(context, request, reply);
  }
  grpc::Status Cancel(grpc::ServerContext* context,
                      const v1::CancelRequest* request,
                      v1::CancelResponse* reply) override {
    silence_.Enter("Cancel");
    return ScriptedFarm::Cancel(context, request, reply);
  }
  grpc::Status Retry(grpc::ServerContext*, const v1::RetryRequest*,
                     v1::RetryResponse*) override {
    silence_.Enter("Retry");
    return grpc::Status::OK;
  }
  grpc::Status GetEnsemble(grpc::ServerContext*, const v1::GetEnsembleRequest*,
                           v1::GetEnsembleResponse*) override {
    silence_.Enter("GetEnsemble");
    return grpc::Status::OK;
  }
  grpc::Status GetOof(grpc::ServerContext*, const v1::GetOofRequest*,
                      grpc::ServerWriter<v1::GetOofResponse>*) override {
    silence_.Enter("GetOof");
    return grpc::Status::OK;
  }
  grpc::Status GetLogs(grpc::ServerContext*, const v1::GetLogsRequest*,
                       grpc::ServerWriter<v1::GetLogsResponse>*) override {
    silence_.Enter("GetLogs");
    return grpc::Status::OK;
  }
  grpc::Status WatchSweep(
      grpc::ServerContext*, const v1::WatchSweepRequest*,
      grpc::ServerWriter<v1::WatchSweepResponse>*) override {
    silence_.Enter("WatchSweep");
    return grpc::Status::OK;
  }
  grpc::Status Backup(grpc::ServerContext* context,
                      const v1::BackupRequest* request,
                      grpc::ServerWriter<v1::BackupResponse>* writer) override {
    silence_.Enter("Backup");
    return ScriptedFarm::Backup(context, request, writer);
  }

 private:
  Silence& silence_;
};

class SilentStore final : public FakeArtifactService {
 public:
  explicit SilentStore(Silence& silence) : silence_(silence) {}

  grpc::Status StatArtifact(grpc::ServerContext* context,
                            const v1::StatArtifactRequest* request,
                            v1::StatArtifactResponse* reply) override {
    silence_.Enter("StatArtifact");
    return FakeArtifactService::StatArtifact(context, request, reply);
  }
  grpc::Status DownloadArtifact(
      grpc::ServerContext* context, const v1::DownloadArtifactRequest* request,
      grpc::ServerWriter<v1::DownloadArtifactResponse>* writer) override {
    silence_.Enter("DownloadArtifact");
    return FakeArtifactService::DownloadArtifact(context, request, writer);
  }

 private:
  Silence& silence_;
};

struct Case {
  std::string name;
  std::string silent;                  // The method.
  std::vector<std::string> arguments;  // DIR: the test's folder.
  std::string says;
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

std::vector<Case> Cases() {
  return {
      {"Backup",
       "Backup",
       {"backup", "--out", "DIR/farm.db"},
       "Stopped; nothing was written."},
      {"BackupOfArtifacts",
       "DownloadArtifact",
       {"backup", "--out", "DIR/parts/farm.db", "--artifacts", "DIR/parts/a"},
       "parts/farm.db is whole, "},
      {"Bundle",
       "GetOof",
       {"bundle", "s1", "--weights", "least-log-loss", "--out", "DIR/bundle"},
       "Stopped."},
      {"Ensemble", "GetEnsemble", {"ensemble", "s1", "--full"}, "Stopped."},
      {"EnsembleThatIsFollowed",
       "GetEnsemble",
       {"ensemble", "s1", "--follow"},
       "Stopped following; the sweep goes on."},
      {"Export",
       "DownloadArtifact",
       {"export", "s1", "--to", "safetensors", "--out", "DIR/parts"},
       "Stopped; the same command fetches what is missing."},
      {"Logs", "GetLogs", {"logs", "s1/gru/0", "-f"}, "Stopped."},
      {"Oof", "GetOof", {"oof", "s1", "--out", "DIR/oof.csv"}, "Stopped."},
      {"Predict",
       "GetSweep",
       {"predict", "s1", "--dataset", "data", "--out", "DIR/sub.csv"},
       "Stopped; nothing was submitted."},
      {"Report",
       "GetEnsemble",
       {"report", "s1", "--out", "DIR/report.html"},
       "Stopped; nothing was written."},
      {"Watch", "WatchSweep", {"watch", "s1"}, "Stopped watching;"},
      {"Upload",
       "StatArtifact",
       {"weights", "import", "DIR/w.safetensors", "--name", "w"},
       "Stopped; nothing was registered."},
      // Nobody knows what these have changed.
      {"RegisterWeights",
       "RegisterWeights",
       {"weights", "import", "DIR/w.safetensors", "--name", "w"},
       "before the coordinator answered RegisterWeights; it may have"},
      {"Submit",
       "SubmitSweep",
       {"submit", "DIR/sweep.yaml", "--dataset", "data"},
       "before the coordinator answered SubmitSweep; it may have"},
      {"Cancel",
       "Cancel",
       {"cancel", "s1"},
       "before the coordinator answered Cancel; it may have"},
      // The second is not tried any more.
      {"Retry",
       "Retry",
       {"retry", "s1", "s2"},
       "before the coordinator answered Retry; it may have"},
  };
}

class InterruptTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    // Who runs tests in the background may ignore it, and so would programs.
    signal(SIGINT, SIG_DFL);
    server_ = ServeOnLoopback({&farm_, &store_}, port_);
    directory_ = MakeTemporaryDirectory("interrupt").value();
    TensorFileWriter writer;
    writer.AddF32("fc.weight", {2, 3}, {1, 2, 3, 4, 5, 6});
    const std::string weights = writer.Serialize();
    Write("w.safetensors", weights);
    Write("sweep.yaml",
          "name: mars\nfolds: {count: 2}\nmodels:\n"
          "  - {name: gru, arch: {none: {}}}\n");
    ASSERT_TRUE(MakeDirectories(Path("parts")).ok());
    farm_.AddJob("gru", 0, v1::Job::SUCCEEDED,
                 {{"weights.safetensors", weights}});
  }
  void TearDown() override {
    silence_.released.Notify();
    server_->Shutdown();
    ASSERT_TRUE(RemoveRecursively(directory_).ok());
  }

  std::string Path(const std::string& name) const {
    return JoinPath(directory_, name);
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(Path(name), text).ok());
  }

  Silence silence_{GetParam().silent};
  SilentFarm farm_{silence_};
  SilentStore store_{silence_};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::string directory_;
};

TEST_P(InterruptTest, CtrlCEndsTheCallAndSaysHowThingsStand) {
  std::vector<std::string> argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm")};
  for (const std::string& argument : GetParam().arguments) {
    argv.push_back(absl::StrReplaceAll(argument, {{"DIR", directory_}}));
  }
  argv.push_back("--coordinator");
  argv.push_back(absl::StrCat("127.0.0.1:", port_));
  const auto terminal =
      Terminal::Run(argv, {{"TERM", "xterm-256color"}}, 80, 24);
  ASSERT_TRUE(terminal.ok()) << terminal.status();
  ASSERT_TRUE(silence_.asked.WaitForNotificationWithTimeout(kPatience));
  (*terminal)->Type("\x03");
  const auto end = (*terminal)->WaitForEnd();
  ASSERT_TRUE(end.has_value()) << (*terminal)->written();
  EXPECT_EQ(end->exit_status, 130) << (*terminal)->written();
  EXPECT_EQ(end->signal, 0);
  EXPECT_THAT((*terminal)->written(), HasSubstr(GetParam().says));
  EXPECT_EQ(silence_.calls.load(), 1);
  // What is fetched in parts keeps them for the next try; nothing else stays.
  ASSERT_TRUE(RemoveRecursively(Path("parts")).ok());
  EXPECT_THAT(ListDirectory(directory_).value(),
              UnorderedElementsAre("sweep.yaml", "w.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Commands, InterruptTest, testing::ValuesIn(Cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace foldfarm
