// What the coordinator's page makes of what it is told: attempts that follow
// one another, logs that grow, restarts, and links that lead nowhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "tests/farm/page_fixture.h"

namespace foldfarm {
namespace {

TEST_F(PageTest, ANewAttemptsCurveReplacesThatOfALostOne) {
  const std::string sweep = Submit({"wait"}, 2, 10);
  const auto lost = StubWorker("first", 2);
  ASSERT_EQ(lost.size(), 2u);
  const std::string job = lost[0].spec().job();
  const auto expect_label = [&](const std::string& text) {
    Expect(absl::StrCat("document.querySelector('canvas').ariaLabel.includes('",
                        text, "')"));
  };
  Open("#/jobs/" + job);
  for (int epoch = 1; epoch <= 6; ++epoch) ReportEpoch(lost[0], epoch, 10);
  Expect("foldfarm.metrics.size === 6");
  expect_label("after epoch 6:");
  // It leaves no checkpoint.
  HandBack(lost[0]);
  const auto held = StubWorker("second", 1);
  ASSERT_EQ(held.size(), 1u);
  ASSERT_EQ(held[0].spec().job(), job);
  Expect("foldfarm.metrics.size === 0");
  expect_label("after epoch 0:");
  ReportEpoch(held[0], 1, 10);
  Expect("foldfarm.metrics.size === 1");
  expect_label("after epoch 1:");
  // The same among the curves of the sweep.
  Open("#/sweeps/" + sweep);
  const std::string points = "foldfarm.curves.get('" + job + "')?.points.size";
  Expect(points + " === 1");
  HandBack(held[0]);
  ASSERT_EQ(StubWorker("third", 1).size(), 1u);
  Expect(points + " === 0");
  expect_label("Newest log loss: " + job + " \\u2014");
}

TEST_F(PageTest, HowLongAnAttemptTakesGrowsByItself) {
  Submit({"wait"}, 2, 10);
  const auto leases = StubWorker("stub", 1);
  ASSERT_EQ(leases.size(), 1u);
  Open("#/jobs/" + leases[0].spec().job());
  const std::string took =
      "document.querySelector('td[data-label=Took]')?.textContent";
  Expect(took);
  const Json before = Run("return " + took);
  Expect(took + " !== " + JsonText(before));
}

TEST_F(PageTest, ALogGrowsWhileItIsRead) {
  const std::string sweep = Submit({"wait"}, 2, 40);
  const auto leases = StubWorker("stub", 1);
  ASSERT_EQ(leases.size(), 1u);
  const std::string job = leases[0].spec().job();
  Open(absl::StrCat("#/jobs/", job));
  ExpectText("h1", job);
  Say(leases[0], 1, "first words");
  ExpectText(".log", "first words");
  // What a trainer says is text, whatever it looks like.
  Say(leases[0], 2,
      "<img src=x onerror=\"window.harmed = 1\"><script>harmed = 1</script>");
  ExpectText(".log .error", "<img src=x");
  EXPECT_EQ(Run("return document.querySelectorAll('main img, main script')"
                ".length"),
            0);
  EXPECT_EQ(Run("return window.harmed ?? null"), nullptr);
  for (int i = 3; i < 60; ++i) Say(leases[0], i, absl::StrCat("line ", i));
  ExpectText(".log", "line 59");
  // It follows its end.
  Expect(
      "(() => { const log = document.querySelector('.log'); return "
      "log.scrollHeight - log.scrollTop - log.clientHeight < 40; })()");
  ExpectText("main", "on stub");
}

TEST_F(PageTest, OfALongLogTheEndIsKept) {
  Submit({"wait"}, 2, 10);
  const auto leases = StubWorker("stub", 1);
  ASSERT_EQ(leases.size(), 1u);
  Open("#/jobs/" + leases[0].spec().job());
  Expect("foldfarm.job");
  // Told at once, as no coordinator does.
  Run("const lines = Array.from({length: 6000}, (_, i) => ({sequence: "
      "String(i + 1), level: 'info', time: '2024-01-01T00:00:00Z', text: "
      "`line ${i + 1}`})); foldfarm.source.dispatchEvent(new MessageEvent("
      "'log', {data: JSON.stringify({lines})}));");
  EXPECT_EQ(Run("return foldfarm.log.length"), 5000);
  EXPECT_EQ(Run("return document.querySelectorAll('.log .line').length"), 5000);
  ExpectText(".log .line", "line 1001");
  ExpectText("main", "Begins with line 1001;");
}

TEST_F(PageTest, ALogIsShownOnceAfterARestart) {
  Submit({"wait"}, 2, 10);
  const auto leases = StubWorker("stub", 1);
  ASSERT_EQ(leases.size(), 1u);
  Open("#/jobs/" + leases[0].spec().job());
  for (int i = 1; i <= 3; ++i) Say(leases[0], i, absl::StrCat("line ", i));
  ExpectText(".log", "line 3");
  // As if all that had come from another run of the coordinator.
  Run("foldfarm.instance = 'a former run'; foldfarm.open();");
  Expect("foldfarm.instance !== 'a former run' && foldfarm.log.length === 3");
  EXPECT_EQ(Run("return document.querySelectorAll('.log .line').length"), 3);
}

TEST_F(PageTest, SaysWhyALinkLeadsNowhere) {
  Open("#/jobs/s9/wait/0");
  ExpectText("main .problem", "no sweep \"s9\"");
  ExpectText("h1", "s9/wait/0");
  Open("#/sweeps/page");
  ExpectText("main .problem", "no sweep \"page\"");
  ExpectText("#connection", "nothing to show; trying again");
  // Then there is one of that name.
  const std::string sweep = Submit({"wait"}, 2, 3);
  ExpectText("h1", sweep + " page");
  Expect("document.querySelectorAll('a.cell').length === 2");
  ExpectText("#connection", "live");
  EXPECT_EQ(Run("return document.querySelectorAll('main .problem').length"), 0);
  ExpectOnlyAnswers("404");
}

TEST_F(PageTest, SaysWhenTheCoordinatorIsGone) {
  const std::string sweep = Submit({"wait"}, 2, 3);
  Open("#/sweeps/" + sweep);
  Expect("document.querySelectorAll('a.cell').length === 2");
  cluster_->KillCoordinator();
  ExpectText("#connection", "no connection");
  // What can be done about a job that is not known, nobody knows.
  Run("location.hash = '#/jobs/" + sweep + "/wait/0'");
  ExpectText("h1", sweep + "/wait/0");
  EXPECT_EQ(Run("return [...document.querySelectorAll('main .actions button')]"
                ".map((button) => button.hidden)"),
            Json::array({true, true}));
  // The browser notes the connection that broke.
  ASSERT_TRUE(browser_->ConsoleErrors().ok());
}

}  // namespace
}  // namespace foldfarm
