// `foldfarm` at a real terminal: watching a real farm, and completing command
// lines in real shells.
#include "tests/testing/terminal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "tests/testing/certs.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

std::string Sweep(int epochs, const std::vector<std::string>& models) {
  std::string yaml = absl::StrCat(
      "name: mars\nfolds: {count: 2}\ntta: 1\ndefaults: {train: "
      "{epochs: ",
      epochs, "}}\nmodels:\n");
  for (const std::string& model : models) {
    absl::StrAppend(&yaml, "  - {name: ", model, ", arch: {none: {}}}\n");
  }
  return yaml;
}

class TerminalTest : public testing::Test {
 protected:
  void SetUp() override {
    // Who runs tests in the background may ignore it, and so would programs.
    signal(SIGINT, SIG_DFL);
    auto cluster = TestCluster::Start({});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", 16).ok());
  }

  std::string Submit(int epochs, const std::vector<std::string>& models) {
    const auto sweep = cluster_->Submit(Sweep(epochs, models), "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }
  void StartWorker(int slots) {
    ASSERT_TRUE(
        cluster_->StartWorker("w", {"--slots", absl::StrCat(slots)}).ok());
  }

  // What a person's shell would say.
  virtual std::map<std::string, std::string> Environment() const {
    return {{"TERM", "xterm-256color"},
            {"LC_ALL", "C.UTF-8"},
            {"NO_COLOR", ""},
            {"PATH", absl::StrCat(FOLDFARM_BIN_DIR, ":/usr/bin:/bin")},
            {"FOLDFARM_COORDINATOR", cluster_->endpoint()}};
  }
  std::unique_ptr<Terminal> Run(const std::vector<std::string>& arguments,
                                std::map<std::string, std::string> environment,
                                int columns = 80, int rows = 24) {
    std::vector<std::string> argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    auto terminal = Terminal::Run(argv, environment, columns, rows);
    EXPECT_TRUE(terminal.ok()) << terminal.status();
    return terminal.ok() ? *std::move(terminal) : nullptr;
  }

  // Runs a program without a terminal; returns what it printed to both.
  std::string RunPiped(const std::vector<std::string>& argv) {
    const std::string path = JoinPath(cluster_->folder(), "piped");
    const int fd =
        open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    SubprocessOptions options;
    options.argv = argv;
    options.environment = Environment();
    options.descriptors = {{1, fd}, {2, fd}};
    const auto process = Subprocess::Spawn(options);
    close(fd);
    EXPECT_TRUE(process.ok()) << process.status();
    if (process.ok()) (*process)->Wait();
    return ReadFile(path).value_or("");
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(TerminalTest, WatchLeavesTheLastPictureAndTheTerminalAsTheyWere) {
  const std::string sweep = Submit(20, {"slow.a", "slow.b"});
  StartWorker(2);
  const auto terminal = Run({"watch", sweep}, Environment());
  ASSERT_TRUE(terminal->WaitFor([](const Screen& screen) {
    return screen.on_second_screen() && !screen.cursor_visible();
  }));
  const auto end = terminal->WaitForEnd();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_status, 0) << terminal->screen().Text();
  EXPECT_FALSE(terminal->screen().on_second_screen());
  EXPECT_TRUE(terminal->screen().cursor_visible());
  EXPECT_THAT(
      terminal->screen().Text(),
      AllOf(StartsWith("s1 mars  succeeded  after "), HasSubstr("100 %"),
            HasSubstr("4 of 4 jobs done"), HasSubstr("slow.a  ✓✓"),
            HasSubstr("slow.b  ✓✓"), HasSubstr("0.6930")));
}

TEST_F(TerminalTest, WatchFollowsTheSizeOfTheTerminal) {
  std::vector<std::string> models = {"wait.a", "wait.b"};
  for (int i = 0; i < 24; ++i) models.push_back(absl::StrCat("wait.m", i));
  const std::string sweep = Submit(100, models);
  StartWorker(2);
  const auto terminal = Run({"watch", sweep}, Environment(), 120, 40);
  // All models fit, in their order.
  ASSERT_TRUE(terminal->WaitForText("50 pending"));
  ASSERT_TRUE(terminal->WaitForText("wait.m23"));
  EXPECT_THAT(terminal->screen().Text(), Not(HasSubstr("more model")));
  for (const auto& [columns, rows] :
       {std::pair(40, 12), std::pair(80, 24), std::pair(200, 50)}) {
    terminal->Resize(columns, rows);
    // The whole picture is drawn anew: nothing of the former one remains.
    EXPECT_TRUE(terminal->WaitFor([&](const Screen& screen) {
      const std::vector<std::string> lines = screen.Rows();
      if (lines.empty() || !absl::StartsWith(lines[0], "s1 mars  running")) {
        return false;
      }
      const auto begins = [&](absl::string_view word) {
        return std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
          return absl::StartsWith(line, word);
        });
      };
      const bool counted = absl::StrContains(screen.Text(), " more models: ");
      return begins("s1 mars") == 1 && begins("MODEL") == 1 &&
             begins("wait.a ") == 1 && counted == (rows == 12) &&
             (rows != 50 || begins("wait.m23") == 1);
    })) << columns
        << " x " << rows << "\n"
        << terminal->screen().Text();
  }
}

TEST_F(TerminalTest, CtrlCGivesTheTerminalBackAndLeavesTheSweepAlone) {
  const std::string sweep = Submit(100, {"wait.a"});
  StartWorker(1);
  const auto terminal = Run({"watch", sweep}, Environment());
  ASSERT_TRUE(terminal->WaitForText("wait.a  ▸·"));
  terminal->Type("\x03");
  const auto end = terminal->WaitForEnd();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_status, 130);
  EXPECT_TRUE(terminal->screen().cursor_visible());
  EXPECT_FALSE(terminal->screen().on_second_screen());
  EXPECT_THAT(terminal->screen().Text(),
              AllOf(HasSubstr("wait.a  ▸·"), HasSubstr("the sweep goes on")));
  const auto job = cluster_->GetJob("s1/wait.a/0");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->job().state(), v1::Job::RUNNING);
}

TEST_F(TerminalTest, AnErrorComesWithoutAPicture) {
  const auto terminal = Run({"watch", "s7"}, Environment());
  const auto end = terminal->WaitForEnd();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_status, 1);
  EXPECT_THAT(terminal->screen().Rows(),
              ElementsAre(StartsWith("error: no sweep \"s7\"")));
  EXPECT_THAT(terminal->written(), Not(HasSubstr("\033[?")));
}

TEST_F(TerminalTest, NoColorDrawsWithoutColourAndADumbTerminalGetsLines) {
  const std::string sweep = Submit(20, {"slow.a"});
  StartWorker(2);
  const auto plain = Run({"watch", sweep, "--no-color"}, Environment());
  ASSERT_TRUE(plain->WaitForEnd().has_value());
  EXPECT_THAT(plain->written(),
              AllOf(HasSubstr("\033[?1049h"), Not(HasSubstr("\033[3")),
                    Not(HasSubstr("\033[1m")), Not(HasSubstr("\033[2m"))));
  auto environment = Environment();
  environment["TERM"] = "dumb";
  const auto dumb = Run({"watch", sweep}, environment);
  ASSERT_TRUE(dumb->WaitForEnd().has_value());
  EXPECT_THAT(dumb->written(),
              AllOf(HasSubstr("s1 (mars) on dataset tiny: 2 of 2 jobs done"),
                    Not(HasSubstr("\033"))));
}

TEST_F(TerminalTest, ALocaleWithoutUtf8GetsAscii) {
  const std::string sweep = Submit(20, {"slow.a"});
  StartWorker(2);
  auto environment = Environment();
  environment["LC_ALL"] = "C";
  const auto terminal = Run({"watch", sweep}, environment);
  ASSERT_TRUE(terminal->WaitForEnd().has_value());
  EXPECT_THAT(terminal->screen().Text(), HasSubstr("slow.a  ++"));
  EXPECT_TRUE(std::all_of(terminal->written().begin(),
                          terminal->written().end(),
                          [](char c) { return (c & 0x80) == 0; }));
}

TEST_F(TerminalTest, APipeGetsALineAnEvent) {
  const std::string sweep = Submit(20, {"slow.a"});
  StartWorker(2);
  const std::string text =
      RunPiped({JoinPath(FOLDFARM_BIN_DIR, "foldfarm"), "watch", sweep});
  EXPECT_THAT(text, AllOf(HasSubstr("s1 (mars) on dataset tiny: "),
                          HasSubstr("s1/slow.a/1 succeeded, log loss 0.6930"),
                          Not(HasSubstr("\033")), Not(HasSubstr("\r"))));
}

// A coordinator that is restarted, plain or with TLS. It serves the folder of
// the cluster's at the same address, where the cluster itself calls plainly.
class FollowTest : public TerminalTest,
                   public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    TerminalTest::SetUp();
    certs_ = JoinPath(cluster_->folder(), "certs");
    ASSERT_EQ(MakeCerts(certs_, "localhost,127.0.0.1"), 0);
  }

  std::map<std::string, std::string> Environment() const override {
    auto environment = TerminalTest::Environment();
    environment["TERM"] = "dumb";
    if (tls()) environment["FOLDFARM_TLS_CA"] = Ca();
    return environment;
  }

  bool tls() const { return GetParam(); }
  std::string Ca() const { return JoinPath(certs_, "ca.crt"); }

  // Returns when it listens.
  void StartCoordinator() {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    SubprocessOptions options;
    options.argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm-coordinator"),
                    "--dir",
                    cluster_->coordinator_folder(),
                    "--listen",
                    cluster_->endpoint(),
                    "--lease-seconds=4",
                    "--heartbeat-seconds=0.4",
                    "--log-file",
                    JoinPath(cluster_->folder(), "other-coordinator.log")};
    if (tls()) {
      options.argv.push_back(
          absl::StrCat("--tls-cert=", JoinPath(certs_, "localhost.crt")));
      options.argv.push_back(
          absl::StrCat("--tls-key=", JoinPath(certs_, "localhost.key")));
    }
    options.descriptors = {{1, ends[1]}};
    auto process = Subprocess::Spawn(options);
    close(ends[1]);
    std::string said;
    char c = 0;
    while (process.ok() && read(ends[0], &c, 1) == 1 && c != '\n') said += c;
    close(ends[0]);
    ASSERT_TRUE(process.ok()) << process.status();
    coordinator_ = *std::move(process);
    ASSERT_EQ(said, absl::StrCat("listening on ", cluster_->endpoint()));
  }
  void KillCoordinator() {
    coordinator_->Signal(SIGKILL);
    coordinator_->Wait();
  }

  std::string certs_;
  std::unique_ptr<Subprocess> coordinator_;
};

INSTANTIATE_TEST_SUITE_P(Connections, FollowTest, testing::Bool(),
                         [](const auto& test) {
                           return test.param ? "Tls" : "Plain";
                         });

TEST_P(FollowTest, FollowingOutlivesARestartOfTheCoordinator) {
  const std::string sweep = Submit(100, {"talk_and_wait"});
  const std::string job = absl::StrCat(sweep, "/talk_and_wait/0");
  cluster_->StopCoordinator();
  StartCoordinator();
  ASSERT_FALSE(HasFatalFailure());
  // The watch must have begun before the job does: a job that runs already is
  // in its first line and no event.
  const auto watch = Run({"watch", sweep}, Environment());
  ASSERT_TRUE(watch->WaitForText("0 of 2 jobs done")) << watch->written();
  std::vector<std::string> flags = {"--slots", "1"};
  if (tls()) flags.push_back(absl::StrCat("--tls-ca=", Ca()));
  ASSERT_TRUE(cluster_->StartWorker("w", flags).ok());
  ASSERT_TRUE(watch->WaitForText("running on w"));
  const auto logs = Run({"logs", "-f", job}, Environment());
  ASSERT_TRUE(logs->WaitForText("more words"));
  KillCoordinator();
  EXPECT_TRUE(watch->WaitForText("trying again"));
  EXPECT_TRUE(logs->WaitForText("trying again"));
  StartCoordinator();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_TRUE(watch->WaitForText("is heard again"));
  EXPECT_THAT(
      RunPiped({JoinPath(FOLDFARM_BIN_DIR, "foldfarm"), "cancel", sweep}),
      HasSubstr("Cancelled 2 jobs"));
  const auto watched = watch->WaitForEnd();
  ASSERT_TRUE(watched.has_value());
  EXPECT_EQ(watched->exit_status, 1) << watch->written();
  const auto logged = logs->WaitForEnd();
  ASSERT_TRUE(logged.has_value());
  EXPECT_EQ(logged->exit_status, 0) << logs->written();
  // No line is told twice.
  const std::vector<std::string> told =
      absl::StrSplit(logs->written(), "more words");
  EXPECT_THAT(told, SizeIs(2)) << logs->written();
}

// What bash's own machinery would offer after `line`.
class BashCompletionTest : public TerminalTest {
 protected:
  std::vector<std::string> Offers(const std::string& line) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    std::string array;
    for (const std::string& word : words) {
      absl::StrAppend(&array, array.empty() ? "" : " ", "'", word, "'");
    }
    const std::string text = RunPiped(
        {"bash", "--norc", "-c",
         absl::StrCat("source <(foldfarm completion bash)\n"
                      "COMP_LINE='",
                      line, "' COMP_POINT=", line.size(),
                      " COMP_CWORD=", words.size() - 1, " COMP_WORDS=(", array,
                      ")\n_foldfarm foldfarm\n"
                      "((${#COMPREPLY[@]})) && printf '%s\\n' "
                      "\"${COMPREPLY[@]}\"")});
    std::vector<std::string> offers =
        absl::StrSplit(text, '\n', absl::SkipEmpty());
    return offers;
  }
};

TEST_F(BashCompletionTest, OffersCommandsOptionsAndChoices) {
  EXPECT_THAT(Offers("foldfarm sta"), ElementsAre("status"));
  EXPECT_THAT(Offers("foldfarm dataset "),
              UnorderedElementsAre("import", "synth", "list", "show"));
  EXPECT_THAT(Offers("foldfarm jobs s1 --st"), ElementsAre("--state"));
  EXPECT_THAT(Offers("foldfarm jobs s1 --state "),
              UnorderedElementsAre("pending", "running", "succeeded", "failed",
                                   "cancelled"));
  // Bash breaks words at "=": only what follows is replaced.
  EXPECT_THAT(Offers("foldfarm sweeps --output=j"), ElementsAre("json"));
  EXPECT_THAT(Offers("foldfarm completion "),
              UnorderedElementsAre("bash", "zsh"));
  EXPECT_THAT(Offers("foldfarm nonsense "), IsEmpty());
}

TEST_F(BashCompletionTest, OffersTheFarmsNames) {
  Submit(10, {"succeed.a", "succeed.b"});
  EXPECT_THAT(Offers("foldfarm status "), UnorderedElementsAre("s1", "mars"));
  EXPECT_THAT(Offers("foldfarm job s"), ElementsAre("s1/"));
  EXPECT_THAT(Offers("foldfarm job s1/"),
              ElementsAre("s1/succeed.a/", "s1/succeed.b/"));
  EXPECT_THAT(Offers("foldfarm logs -f mars/succeed.b/"),
              ElementsAre("mars/succeed.b/0", "mars/succeed.b/1"));
  EXPECT_THAT(Offers("foldfarm cancel s1/succeed.a/1"),
              ElementsAre("s1/succeed.a/1"));
  EXPECT_THAT(Offers("foldfarm submit a.yaml --dataset t"),
              ElementsAre("tiny"));
  EXPECT_THAT(Offers("foldfarm dataset show "), ElementsAre("tiny"));
}

TEST_F(BashCompletionTest, OffersFilesAndFolders) {
  const std::string folder = cluster_->folder();
  ASSERT_TRUE(MakeDirectories(JoinPath(folder, "x/data")).ok());
  ASSERT_TRUE(WriteFileAtomically(JoinPath(folder, "x/a.yaml"), "").ok());
  EXPECT_THAT(Offers(absl::StrCat("foldfarm submit ", folder, "/x/")),
              UnorderedElementsAre(JoinPath(folder, "x/data"),
                                   JoinPath(folder, "x/a.yaml")));
  EXPECT_THAT(Offers(absl::StrCat("foldfarm dataset import ", folder, "/x/")),
              ElementsAre(JoinPath(folder, "x/data")));
}

TEST_F(BashCompletionTest, IsSilentWithoutACoordinator) {
  cluster_->KillCoordinator();
  EXPECT_THAT(Offers("foldfarm status "), IsEmpty());
  EXPECT_THAT(Offers("foldfarm job s1/"), IsEmpty());
}

// Keys at a prompt.
class InteractiveTest : public TerminalTest {
 protected:
  std::unique_ptr<Terminal> Shell(const std::vector<std::string>& argv) {
    auto environment = Environment();
    environment["PS1"] = "> ";
    environment["HOME"] = cluster_->folder();
    auto terminal = Terminal::Run(argv, environment, 100, 30);
    EXPECT_TRUE(terminal.ok()) << terminal.status();
    return *std::move(terminal);
  }
};

TEST_F(InteractiveTest, BashCompletesAtTab) {
  Submit(10, {"succeed.a"});
  const auto shell = Shell({"bash", "--norc", "--noprofile", "-i"});
  ASSERT_TRUE(shell->WaitForText(">"));
  shell->Type("source <(foldfarm completion bash); echo rea''dy\r");
  ASSERT_TRUE(shell->WaitForText("\nready")) << shell->screen().Text();
  // Blanks at a row's end are not to be seen: the name follows at once.
  shell->Type("foldfarm stat\tma\t");
  EXPECT_TRUE(shell->WaitForText("> foldfarm status mars"))
      << shell->screen().Text();
  shell->Type("--output=js\t");
  EXPECT_TRUE(shell->WaitForText("> foldfarm status mars --output=json"))
      << shell->screen().Text();
  shell->Type(
      "\x15"
      "foldfarm job s\t\t1");
  EXPECT_TRUE(shell->WaitForText("foldfarm job s1/succeed.a/1"))
      << shell->screen().Text();
}

TEST_F(InteractiveTest, ZshCompletesAtTab) {
  if (!FileExists("/usr/bin/zsh")) GTEST_SKIP() << "zsh is not installed";
  Submit(10, {"succeed.a"});
  const auto shell = Shell({"zsh", "-f", "-i"});
  shell->Type(
      "autoload -U compinit; compinit -u -D; "
      "source <(foldfarm completion zsh); echo rea''dy\r");
  ASSERT_TRUE(shell->WaitForText("\nready")) << shell->screen().Text();
  shell->Type("foldfarm stat\tma\t");
  EXPECT_TRUE(shell->WaitForText("foldfarm status mars"))
      << shell->screen().Text();
  shell->Type("--output=js\t");
  EXPECT_TRUE(shell->WaitForText("foldfarm status mars --output=json"))
      << shell->screen().Text();
  shell->Type(
      "\x15"
      "foldfarm job s1/\t1");
  EXPECT_TRUE(shell->WaitForText("foldfarm job s1/succeed.a/1"))
      << shell->screen().Text();
}

}  // namespace
}  // namespace foldfarm
