#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <regex>
#include <set>

#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "coordinator/web/metrics_text.h"
#include "tests/coordinator/web/web_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

class MetricsTest : public WebTest {
 protected:
  // One sample, by its name and labels as they are written.
  double Sample(const std::string& name) const {
    const std::string text = Get("/metrics").body;
    const size_t at = text.find(absl::StrCat("\n", name, " "));
    EXPECT_NE(at, std::string::npos) << name << " is not in\n" << text;
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(at + name.size() + 2));
  }
  // A farm of which every metric has something to say.
  void Busy() {
    RegisterDataset();
    Submit("first", 2);
    RunAll(Register("w1", 2), 0.25f);
    v1::GetSweepRequest unknown;
    unknown.set_sweep("s9");
    EXPECT_FALSE(Ask(&Farm::GetSweep, unknown).ok());
  }
};

TEST_F(MetricsTest, CountsWhatHappened) {
  Busy();
  EXPECT_THAT(Get("/metrics").get_header_value("Content-Type"),
              HasSubstr("version=0.0.4"));
  EXPECT_EQ(Sample("foldfarm_jobs{state=\"succeeded\"}"), 4);
  EXPECT_EQ(Sample("foldfarm_jobs{state=\"pending\"}"), 0);
  EXPECT_EQ(Sample("foldfarm_leases"), 0);
  EXPECT_EQ(Sample("foldfarm_attempts_total{outcome=\"succeeded\"}"), 4);
  EXPECT_EQ(Sample("foldfarm_attempts_total{outcome=\"lost\"}"), 0);
  EXPECT_EQ(Sample("foldfarm_workers{state=\"online\"}"), 1);
  EXPECT_EQ(Sample("foldfarm_worker_slots{worker=\"w1\",state=\"free\"}"), 2);
  EXPECT_GT(Sample("foldfarm_commits_total"), 4);
  EXPECT_EQ(Sample("foldfarm_commit_failures_total"), 0);
  EXPECT_GT(Sample("foldfarm_commit_batch_size_sum"), 4);
  EXPECT_GT(Sample("foldfarm_database_size_bytes"), 1000);
  EXPECT_GT(Sample("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(Sample("process_open_fds"), 3);
  const double started = Sample("process_start_time_seconds");
  const double now =
      absl::ToDoubleSeconds(Clock::Real().Now() - absl::UnixEpoch());
  EXPECT_GT(started, now - 3600);
  EXPECT_LE(started, now + 1);
}

TEST_F(MetricsTest, MeasuresCallsByMethodAndCode) {
  Busy();
  const auto count = [this](const char* labels) {
    return Sample(
        absl::StrCat("foldfarm_rpc_duration_seconds_count{", labels, "}"));
  };
  EXPECT_EQ(count(R"(method="FarmService/SubmitSweep",code="OK")"), 1);
  EXPECT_EQ(count(R"(method="FarmService/GetSweep",code="NOT_FOUND")"), 1);
  // Calls of the callback interface are seen, too.
  EXPECT_EQ(count(R"(method="WorkerService/FinishAttempt",code="OK")"), 4);
  EXPECT_EQ(Sample(R"(foldfarm_rpc_duration_seconds_bucket{)"
                   R"(method="FarmService/SubmitSweep",code="OK",le="+Inf"})"),
            1);
  EXPECT_GT(Sample(R"(foldfarm_rpc_duration_seconds_sum{)"
                   R"(method="FarmService/SubmitSweep",code="OK"})"),
            0);
}

TEST_F(MetricsTest, KnowsTheSizeOfAllArtifactsAlsoAfterARestart) {
  Busy();
  const double stored = Sample("foldfarm_artifact_stored_bytes");
  EXPECT_GT(stored, 100);
  web_.reset();
  server_.reset();
  Start();
  StartWeb();
  EXPECT_EQ(Sample("foldfarm_artifact_stored_bytes"), stored);
  // The same file is stored once.
  RegisterDataset();
  EXPECT_EQ(Sample("foldfarm_artifact_stored_bytes"), stored);
}

TEST_F(MetricsTest, LeasesThatRunOutAreCounted) {
  web_.reset();
  server_.reset();
  options_.queue.lease_duration = absl::Milliseconds(200);
  Start();
  StartWeb();
  RegisterDataset();
  Submit("first", 1);
  EXPECT_EQ(Acquire(Register("w1"))->leases_size(), 1);
  EventReader page(web_->endpoint(), "?job=s1/model0/0");
  ASSERT_TRUE(page.WaitFor("\"state\":\"LOST\""));
  EXPECT_EQ(Sample("foldfarm_lease_expirations_total"), 1);
  EXPECT_EQ(Sample("foldfarm_attempts_total{outcome=\"lost\"}"), 1);
  // Who is gone has no slots.
  ASSERT_TRUE(page.WaitFor("\"state\":\"OFFLINE\""));
  EXPECT_THAT(Get("/metrics").body, Not(HasSubstr("foldfarm_worker_slots{")));
}

TEST(MetricsTextTest, QuotesLabels) {
  MetricsText text;
  text.Family("m", "gauge", "Two\nlines.");
  text.Sample(0.1, {{"name", "a\"b\\c\nd"}});
  text.Sample(std::numeric_limits<double>::infinity());
  EXPECT_EQ(text.text(),
            "# HELP m Two\\nlines.\n# TYPE m gauge\n"
            "m{name=\"a\\\"b\\\\c\\nd\"} 0.1\nm +Inf\n");
}

// promtool is in Debian's package prometheus, which also starts a daemon. To
// have the program alone:
//   apt-get download prometheus && dpkg -x prometheus_*.deb DIR
//   PROMTOOL=DIR/usr/bin/promtool ctest -R web_test
TEST_F(MetricsTest, PrometheusOwnToolFindsNoFault) {
  const char* named = std::getenv("PROMTOOL");
  Busy();
  const std::string path = JoinPath(directory_, "metrics.txt");
  ASSERT_TRUE(WriteFileAtomically(path, Get("/metrics").body).ok());
  const std::string output = JoinPath(directory_, "promtool.txt");
  const int in = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = open(output.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  SubprocessOptions command;
  command.argv = {named != nullptr ? named : "promtool", "check", "metrics"};
  command.descriptors = {{0, in}, {1, out}, {2, out}};
  const auto promtool = Subprocess::Spawn(command);
  close(in);
  close(out);
  if (promtool.status().code() == absl::StatusCode::kNotFound) {
    ASSERT_EQ(named, nullptr) << promtool.status();
    GTEST_SKIP() << "promtool is not in PATH; see the comment above this test";
  }
  ASSERT_TRUE(promtool.ok()) << promtool.status();
  EXPECT_EQ((*promtool)->Wait().exit_status, 0) << *ReadFile(output);
}

TEST_F(MetricsTest, TheDashboardAsksOnlyForMetricsThatExist) {
  Busy();
  const auto text =
      ReadFile(JoinPath(FOLDFARM_SOURCE_DIR, "deploy/grafana/foldfarm.json"));
  ASSERT_TRUE(text.ok()) << text.status();
  const auto dashboard = ParseJson(*text);
  std::set<std::string> asked;
  const std::regex name("(foldfarm|process)_[a-z0-9_]+");
  ASSERT_GE(dashboard["panels"].size(), 8u);
  for (const auto& panel : dashboard["panels"]) {
    if (panel["type"] == "row") continue;
    ASSERT_FALSE(panel["targets"].empty()) << panel["title"];
    for (const auto& target : panel["targets"]) {
      const std::string expression = target["expr"];
      for (std::sregex_iterator it(expression.begin(), expression.end(), name),
           end;
           it != end; ++it) {
        asked.insert(it->str());
      }
    }
  }
  std::set<std::string> known;
  const std::string metrics = Get("/metrics").body;
  const std::regex sample("(?:^|\n)([a-z_]+)(?:\\{| )");
  for (std::sregex_iterator it(metrics.begin(), metrics.end(), sample), end;
       it != end; ++it) {
    known.insert((*it)[1].str());
  }
  EXPECT_GT(asked.size(), 8u);
  EXPECT_THAT(known, IsSupersetOf(asked));
}

}  // namespace
}  // namespace foldfarm
