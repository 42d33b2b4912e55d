// What a person sees, clicks and hears on the coordinator's page, while jobs
// run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/json_text.h"
#include "tests/farm/page_fixture.h"

namespace foldfarm {
namespace {

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
  ExpectText("main .problem", "no sweep \"<img");
  EXPECT_EQ(Run("return document.querySelectorAll('main img').length"), 0);
  EXPECT_EQ(Run("return window.harmed ?? null"), nullptr);
  ExpectOnlyAnswers("404");
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
  unlock(kPageToken);
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

}  // namespace
}  // namespace foldfarm
