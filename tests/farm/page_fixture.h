// The coordinator's page in a real browser, over a farm of real programs.
//
// With FOLDFARM_SCREENSHOTS=DIR pictures of every view are left there to look
// at.
#ifndef FOLDFARM_TESTS_FARM_PAGE_FIXTURE_H_
#define FOLDFARM_TESTS_FARM_PAGE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/rpc/channel.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/browser.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {

using Json = nlohmann::json;
using Workers = v1::WorkerService::StubInterface;

inline constexpr char kPageToken[] = "0123456789abcdef0123456789abcdef";
inline constexpr absl::Duration kCallTimeout = absl::Seconds(30);

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
    ASSERT_TRUE(WriteFileAtomically(token_file_, kPageToken).ok());
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
      EXPECT_THAT(*errors, ::testing::IsEmpty());
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

  // A stub worker: registers and takes up to `slots` jobs. The newest one's
  // session is session_.
  std::vector<v1::Lease> StubWorker(const std::string& name, int slots) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(slots);
    request.add_devices("cuda:0 (H100)");
    const auto registered =
        UnaryCall(*workers_, &Workers::Register, request, kCallTimeout);
    EXPECT_TRUE(registered.ok()) << registered.status();
    if (!registered.ok()) return {};
    session_ = registered->session();
    v1::AcquireLeasesRequest acquire;
    acquire.set_session(session_);
    acquire.set_free_slots(slots);
    const auto leases =
        UnaryCall(*workers_, &Workers::AcquireLeases, acquire, kCallTimeout);
    EXPECT_TRUE(leases.ok()) << leases.status();
    if (!leases.ok()) return {};
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

  // Line `number` of the attempt's log.
  void Say(const v1::Lease& lease, int number, const std::string& text) {
    v1::ReportProgressRequest request;
    request.set_token(lease.token());
    v1::LogLine& line = *request.add_lines();
    line.set_sequence(number);
    line.set_level(number == 2 ? "error" : "info");
    line.set_text(text);
    ASSERT_TRUE(
        UnaryCall(*workers_, &Workers::ReportProgress, request, kCallTimeout)
            .ok());
  }
  // The newest stub worker hands the attempt back.
  void HandBack(const v1::Lease& lease) {
    v1::FinishAttemptRequest request;
    request.set_session(session_);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::PREEMPTED);
    ASSERT_TRUE(
        UnaryCall(*workers_, &Workers::FinishAttempt, request, kCallTimeout)
            .ok());
  }
  // The browser noted nothing but answers of that status, as it does whatever
  // the page makes of them. Forgets them.
  void ExpectOnlyAnswers(const std::string& status) {
    const auto errors = browser_->ConsoleErrors();
    ASSERT_TRUE(errors.ok()) << errors.status();
    EXPECT_THAT(*errors, ::testing::Each(::testing::HasSubstr(status)));
  }

  const std::string scratch_ = *MakeTemporaryDirectory("page");
  const std::string token_file_ = JoinPath(scratch_, "token");
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<Browser> browser_;
  std::string url_;
  int64_t session_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_FARM_PAGE_FIXTURE_H_
