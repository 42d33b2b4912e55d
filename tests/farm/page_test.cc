// The coordinator's page in a real browser, over a farm of real programs: what
// a person sees, clicks and hears, while jobs run.
//
// With FOLDFARM_SCREENSHOTS=DIR pictures of every view are left there to look
// at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/rpc/channel.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/browser.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;
using Workers = v1::WorkerService::StubInterface;

constexpr char kToken[] = "0123456789abcdef0123456789abcdef";
constexpr absl::Duration kCallTimeout = absl::Seconds(30);

class PageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto browser = Browser::Start();
    if (browser.status().code() == absl::StatusCode::kNotFound) {
      GTEST_SKIP() << "chromedriver is not installed; apt-get install chromium "
                      "chromium-driver, as deploy/setup does";
    }
    ASSERT_TRUE(browser.ok()) << browser.status();
    browser_ = *std::move(browser);
    ASSERT_TRUE(WriteFileAtomically(token_file_, kToken).ok());
    TestClusterOptions options;
    // Stub workers send no heartbeats.
    options.lease_seconds = 60;
    options.coordinator_flags = {"--http", "127.0.0.1:0", "--http-token-file",
                                 token_file_};
    auto cluster = TestCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    const auto endpoint =
        ReadFile(JoinPath(cluster_->folder(), "coordinator/http_endpoint"));
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    url_ = absl::StrCat("http://", absl::StripSuffix(*endpoint, "\n"), "/");
    workers_ = v1::WorkerService::NewStub(MakeChannel(cluster_->endpoint()));
    ASSERT_TRUE(cluster_->AddDataset("tiny", 24).ok());
    ASSERT_TRUE(browser_->Show(1280, 900).ok());
  }
  void TearDown() override {
    if (browser_ != nullptr) {
      const auto errors = browser_->ConsoleErrors();
      ASSERT_TRUE(errors.ok()) << errors.status();
      EXPECT_THAT(*errors, IsEmpty());
    }
    browser_.reset();
    RemoveRecursively(scratch_).IgnoreError();
  }

  // Waits until a script's expression is true.
  void Expect(const std::string& expression) {
    const absl::Status status = browser_->WaitFor(expression);
    ASSERT_TRUE(status.ok()) << status;
  }
  // Whether an element's text has `text`.
  void ExpectText(const std::string& selector, const std::string& text) {
    Expect(
        absl::StrFormat("document.querySelector(%s)?.textContent.includes(%s)",
                        JsonText(Json(selector)), JsonText(Json(text))));
  }
  Json Run(const std::string& script) {
    const auto value = browser_->Run(script);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : Json();
  }
  void Click(const std::string& selector) {
    const absl::Status status = browser_->Click(selector);
    ASSERT_TRUE(status.ok()) << selector << ": " << status;
  }
  void Open(const std::string& place) {
    ASSERT_TRUE(browser_->Open("about:blank").ok());
    ASSERT_TRUE(browser_->Open(absl::StrCat(url_, place)).ok());
  }
  void Press(const std::vector<std::string>& keys) {
    ASSERT_TRUE(browser_->Press(keys).ok());
  }
  std::string Focused() {
    return Run(
        "return document.activeElement.dataset.job || "
        "document.activeElement.className || "
        "document.activeElement.tagName");
  }
  void Shoot(const std::string& name, bool whole = true) {
    const char* folder = std::getenv("FOLDFARM_SCREENSHOTS");
    if (folder == nullptr) return;
    ASSERT_TRUE(
        browser_->Screenshot(JoinPath(folder, name + ".png"), whole).ok());
  }
  // Nothing is wider than the window, at any of the usual widths.
  void ExpectNoSidewaysScroll(const std::string& where) {
    EXPECT_LE(Run("return document.documentElement.scrollWidth"),
              Run("return window.innerWidth"))
        << where;
  }

  // A sweep whose models do what their names say (fake_trainer.cc).
  std::string Submit(const std::vector<std::string>& models, int folds,
                     int epochs) {
    std::string yaml = absl::StrCat("name: page\nfolds: {count: ", folds,
                                    ", seed: 1}\ndefaults:\n  train: "
                                    "{epochs: ",
                                    epochs, ", batch: 8}\nmodels:\n");
    for (const std::string& model : models) {
      absl::StrAppend(&yaml, "  - {name: ", model,
                      ", arch: {conv1d: {widths: [4], kernel: 3}}}\n");
    }
    const auto sweep = cluster_->Submit(yaml, "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.ok() ? *sweep : "";
  }

  // A stub worker: registers and takes up to `slots` jobs.
  std::vector<v1::Lease> StubWorker(const std::string& name, int slots) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(slots);
    request.add_devices("cuda:0 (H100)");
    const auto registered =
        UnaryCall(*workers_, &Workers::Register, request, kCallTimeout);
    EXPECT_TRUE(registered.ok()) << registered.status();
    v1::AcquireLeasesRequest acquire;
    acquire.set_session(registered->session());
    acquire.set_free_slots(slots);
    const auto leases =
        UnaryCall(*workers_, &Workers::AcquireLeases, acquire, kCallTimeout);
    EXPECT_TRUE(leases.ok()) << leases.status();
    return {leases->leases().begin(), leases->leases().end()};
  }
  void ReportEpoch(const v1::Lease& lease, int epoch, int epochs) {
    v1::ReportProgressRequest request;
    request.set_token(lease.token());
    request.set_started(true);
    request.set_epochs_total(epochs);
    v1::EpochMetrics& metrics = *request.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["log_loss"] =
        0.15 + 0.5 / epoch + 0.001 * static_cast<double>(lease.token() % 40);
    ASSERT_TRUE(
        UnaryCall(*workers_, &Workers::ReportProgress, request, kCallTimeout)
            .ok());
  }

  const std::string scratch_ = *MakeTemporaryDirectory("page");
  const std::string token_file_ = JoinPath(scratch_, "token");
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<Browser> browser_;
  std::string url_;
};

TEST_F(PageTest, FillsWhileJobsRunAndLeadsFromTheFarmToAJob) {
  Open("");
  ExpectText("#connection", "live");
  ExpectText("main", "No sweep yet");
  ExpectText("main", "No worker is online");
  // Nobody reloads the page from here on.
  const std::string sweep =
      Submit({"slow.a", "slow.b", "succeed", "fail"}, 2, 40);
  ExpectText("main table", sweep + " page");
  ASSERT_TRUE(cluster_->StartWorker("w1", {"--slots", "2"}).ok());
  Expect(
      "[...document.querySelectorAll('th')].some("
      "(th) => th.textContent === 'w1')");
  ExpectText(".slots + .under", "2 of 2 busy");
  Shoot("overview");
  Click("main table a");
  ExpectText("h1", sweep + " page");
  EXPECT_EQ(Run("return document.activeElement.id"), "main");
  Expect("document.querySelectorAll('a.cell').length === 8");
  Expect("document.querySelector('a.cell[data-state=RUNNING]')");
  // Curves of jobs that run are drawn, and grow.
  Expect("[...foldfarm.curves.values()].some((c) => c.points.size > 3)");
  Shoot("sweep-running");
  ASSERT_TRUE(cluster_
                  ->WaitForJobs(sweep,
                                [](const TestCluster::Jobs& jobs) {
                                  for (const auto& [name, job] : jobs) {
                                    if (name.find("fail") ==
                                            std::string::npos &&
                                        job.state() != v1::Job::SUCCEEDED) {
                                      return false;
                                    }
                                  }
                                  return jobs.size() == 8;
                                })
                  .ok());
  Expect(
      "document.querySelectorAll('a.cell[data-state=SUCCEEDED]').length "
      "=== 6");
  // A failed job says why, before it is given up, too.
  ExpectText(".failures", "no such luck");
  ExpectText("#ensemble-table", "ensemble of 3");
  Shoot("sweep-finished");
  // To a job and back.
  Click("a.cell[data-job='" + sweep + "/slow.a/1']");
  ExpectText("h1", sweep + "/slow.a/1");
  ExpectText("main", "weights.safetensors");
  Expect("foldfarm.metrics.size === 40");
  Shoot("job");
  ASSERT_TRUE(browser_->Back().ok());
  ExpectText("h1", sweep + " page");
  ASSERT_TRUE(browser_->Back().ok());
  ExpectText("h1", "Farm");
}

TEST_F(PageTest, ALogGrowsWhileItIsRead) {
  const std::string sweep = Submit({"wait"}, 2, 40);
  const auto leases = StubWorker("stub", 1);
  ASSERT_EQ(leases.size(), 1u);
  const std::string job = leases[0].spec().job();
  Open(absl::StrCat("#/jobs/", job));
  ExpectText("h1", job);
  const auto say = [&](int number, const std::string& text) {
    v1::ReportProgressRequest request;
    request.set_token(leases[0].token());
    v1::LogLine& line = *request.add_lines();
    line.set_sequence(number);
    line.set_level(number == 2 ? "error" : "info");
    line.set_text(text);
    ASSERT_TRUE(
        UnaryCall(*workers_, &Workers::ReportProgress, request, kCallTimeout)
            .ok());
  };
  say(1, "first words");
  ExpectText(".log", "first words");
  // What a trainer says is text, whatever it looks like.
  say(2,
      "<img src=x onerror=\"window.harmed = 1\"><script>harmed = 1</script>");
  ExpectText(".log .error", "<img src=x");
  EXPECT_EQ(Run("return document.querySelectorAll('main img, main script')"
                ".length"),
            0);
  EXPECT_EQ(Run("return window.harmed ?? null"), nullptr);
  for (int i = 3; i < 60; ++i) say(i, absl::StrCat("line ", i));
  ExpectText(".log", "line 59");
  // It follows its end.
  Expect(
      "(() => { const log = document.querySelector('.log'); return "
      "log.scrollHeight - log.scrollTop - log.clientHeight < 40; })()");
  ExpectText("main", "on stub");
}

TEST_F(PageTest, HostileNamesAndErrorsAreOnlyText) {
  const std::string sweep = Submit({"wait"}, 2, 3);
  const std::string hostile =
      "<img src=x onerror=\"window.harmed = 1\"> \"'>&amp;";
  v1::RegisterRequest request;
  request.set_name("stub");
  request.set_slots(1);
  request.set_host(hostile);
  request.add_devices(hostile);
  const auto registered =
      UnaryCall(*workers_, &Workers::Register, request, kCallTimeout);
  ASSERT_TRUE(registered.ok());
  v1::AcquireLeasesRequest acquire;
  acquire.set_session(registered->session());
  acquire.set_free_slots(1);
  const auto leases =
      UnaryCall(*workers_, &Workers::AcquireLeases, acquire, kCallTimeout);
  ASSERT_EQ(leases->leases_size(), 1);
  v1::FinishAttemptRequest finish;
  finish.set_session(registered->session());
  finish.set_token(leases->leases(0).token());
  finish.set_outcome(v1::Attempt::FAILED);
  finish.set_failure_kind(v1::FAILURE_KIND_PERMANENT);
  finish.set_error(hostile);
  finish.add_log_tail(hostile);
  ASSERT_TRUE(
      UnaryCall(*workers_, &Workers::FinishAttempt, finish, kCallTimeout).ok());
  Open("");
  ExpectText("main", hostile);
  Open("#/sweeps/" + sweep);
  ExpectText(".failures", hostile);
  Open("#/jobs/" + leases->leases(0).spec().job());
  ExpectText(".tail", hostile);
  // A model of that name cannot be; an address can.
  Open("#/sweeps/%3Cimg%20src=x%20onerror=alert(1)%3E");
  ExpectText("h1", "<img");
  EXPECT_EQ(Run("return document.querySelectorAll('main img').length"), 0);
  EXPECT_EQ(Run("return window.harmed ?? null"), nullptr);
  // The browser notes the 404 of the stream; nothing else.
  const auto errors = browser_->ConsoleErrors();
  ASSERT_TRUE(errors.ok());
  for (const std::string& error : *errors) {
    EXPECT_THAT(error, ::testing::HasSubstr("404"));
  }
}

TEST_F(PageTest, KeysAloneAreEnough) {
  const std::string sweep = Submit({"wait.a", "wait.b", "wait.c"}, 3, 40);
  Open("#/sweeps/" + sweep);
  Expect("document.querySelectorAll('a.cell').length === 9");
  // The first thing that Tab reaches leads past the header.
  Run("document.body.focus()");
  Press({Browser::kTab});
  EXPECT_EQ(Focused(), "skip");
  Press({Browser::kEnter});
  EXPECT_EQ(Run("return document.activeElement.id"), "main");
  EXPECT_EQ(Run("return location.hash"), "#/sweeps/" + sweep);
  // One stop for the whole grid, arrows inside.
  Press({Browser::kTab});
  EXPECT_EQ(Focused(), sweep + "/wait.a/0");
  Press({Browser::kRight, Browser::kDown});
  EXPECT_EQ(Focused(), sweep + "/wait.b/1");
  ExpectText(".details", "wait.b, fold 1: pending");
  Press({Browser::kEnd});
  EXPECT_EQ(Focused(), sweep + "/wait.b/2");
  Press({Browser::kDown, Browser::kDown, Browser::kHome, Browser::kUp});
  EXPECT_EQ(Focused(), sweep + "/wait.b/0");
  // A change of the farm leaves the focus where it is.
  StubWorker("stub", 9);
  Expect(
      "document.querySelectorAll('a.cell[data-state=RUNNING]').length === 9");
  EXPECT_EQ(Focused(), sweep + "/wait.b/0");
  Press({Browser::kEnter});
  ExpectText("h1", sweep + "/wait.b/0");
  // Every control has a name, every cell says what it is.
  EXPECT_EQ(Run("return [...document.querySelectorAll('input, select, button, "
                "a, canvas')].filter((e) => !(e.textContent.trim() || "
                "e.getAttribute('aria-label') || e.labels?.length)).length"),
            0);
}

TEST_F(PageTest, ChangesAreMadeOnlyWithTheToken) {
  const std::string sweep = Submit({"wait"}, 2, 3);
  Open("#/sweeps/" + sweep);
  ExpectText(".actions", "Cancel sweep");
  EXPECT_EQ(Run("return document.querySelector('.actions button').hidden"),
            true);
  const auto unlock = [&](const std::string& token) {
    Click("#unlock");
    Run("document.getElementById('token').value = " + JsonText(Json(token)));
    Click("#token-ok");
  };
  unlock("wrong");
  ExpectText("#token-problem", "missing or wrong");
  Click("#token-cancel");
  // The browser notes the refusal; that is no fault of the page.
  const auto refused = browser_->ConsoleErrors();
  ASSERT_TRUE(refused.ok());
  ASSERT_EQ(refused->size(), 1u);
  EXPECT_THAT((*refused)[0], ::testing::HasSubstr("403"));
  unlock(kToken);
  Expect("!document.querySelector('.actions button').hidden");
  Click(".actions button");
  ExpectText("#ask-title", "Cancel " + sweep + "?");
  Click("#ask-no");
  Expect("!document.getElementById('ask-dialog').open");
  Click(".actions button");
  Click("#ask-yes");
  ExpectText(".actions", "Cancel: 2 jobs.");
  Expect(
      "document.querySelectorAll('a.cell[data-state=CANCELLED]').length "
      "=== 2");
  Click(".actions button:not([hidden])");
  ExpectText("#ask-title", "Retry");
  Click("#ask-yes");
  Expect(
      "document.querySelectorAll('a.cell[data-state=PENDING]').length === 2");
}

TEST_F(PageTest, HoldsUpWith200JobsAnd50Workers) {
  std::vector<std::string> models;
  for (int i = 0; i < 50; ++i) models.push_back(absl::StrCat("wait.m", i));
  const std::string sweep = Submit(models, 4, 100);
  std::vector<v1::Lease> leases;
  for (int i = 0; i < 50; ++i) {
    for (v1::Lease& lease : StubWorker(absl::StrCat("gpu", i), 2)) {
      leases.push_back(std::move(lease));
    }
  }
  ASSERT_EQ(leases.size(), 100u);
  Open("");
  ExpectText("main", "50 workers, 100 of 100 slots busy");
  Open("#/sweeps/" + sweep);
  Expect("document.querySelectorAll('a.cell').length === 200");
  Run("window.told = 0; foldfarm.addEventListener('jobs', () => ++told);");
  Clock& clock = Clock::Real();
  const absl::Duration begin = clock.Monotonic();
  for (int epoch = 1; epoch <= 10; ++epoch) {
    for (const v1::Lease& lease : leases) ReportEpoch(lease, epoch, 100);
  }
  Expect(
      "[...foldfarm.jobs.values()].filter((job) => job.epoch === 10).length "
      "=== 100");
  const double seconds = absl::ToDoubleSeconds(clock.Monotonic() - begin);
  // A thousand reports; a page hears of them four times a second at most.
  EXPECT_LE(Run("return told").get<double>(), 4 * seconds + 2);
  Expect("[...foldfarm.curves.values()].some((c) => c.points.size > 0)");
  Shoot("sweep-200");
  ASSERT_TRUE(browser_->Show(1280, 900, /*dark=*/true).ok());
  Shoot("sweep-200-dark");
  ASSERT_TRUE(browser_->Show(400, 800).ok());
  ExpectNoSidewaysScroll("sweep");
  Shoot("sweep-200-narrow");
  Open("");
  ExpectText("main", "50 workers");
  ExpectNoSidewaysScroll("overview");
  Shoot("overview-narrow", false);
  Open("#/jobs/" + leases[0].spec().job());
  ExpectText("main", "on gpu0");
  ExpectNoSidewaysScroll("job");
  Shoot("job-narrow");
  ASSERT_TRUE(browser_->Show(1280, 900).ok());
  Open("");
  ExpectText("main", "50 workers");
  Shoot("overview-50-workers");
}

TEST_F(PageTest, SaysWhenTheCoordinatorIsGone) {
  const std::string sweep = Submit({"wait"}, 2, 3);
  Open("#/sweeps/" + sweep);
  Expect("document.querySelectorAll('a.cell').length === 2");
  cluster_->KillCoordinator();
  ExpectText("#connection", "no connection");
  // The browser notes the connection that broke.
  ASSERT_TRUE(browser_->ConsoleErrors().ok());
}

}  // namespace
}  // namespace foldfarm
