// What no program of ours would send: files that are not what their digest
// says, names that lead elsewhere, texts and numbers without measure.
//
// Each is refused or cut, the coordinator goes on within bounds, and the farm
// is audited.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <limits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/rpc/status.h"
#include "tests/testing/chaos_farm.h"
#include "tests/testing/programs.h"
#include "tests/testing/rogue_worker.h"

namespace foldfarm {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using Farm = v1::FarmService::StubInterface;
using Service = RogueWorker::Service;

constexpr int kEpochs = 4;
constexpr size_t kMiB = 1 << 20;

class HostileInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto cluster = TestCluster::Start(TestClusterOptions());
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", kChaosSamples).ok());
    rogue_ = std::make_unique<RogueWorker>(cluster_->endpoint());
    ASSERT_TRUE(rogue_->Register("rogue", 64).ok());
    const auto sweep =
        cluster_->Submit(ChaosSweep("hostile", 8, kEpochs), "tiny");
    ASSERT_TRUE(sweep.ok()) << sweep.status();
    sweep_ = *sweep;
  }

  void ExpectAllIsWell() {
    // Whatever it still holds is released.
    ASSERT_TRUE(rogue_->Register("rogue", 1).ok());
    ASSERT_TRUE(cluster_->StartWorker("honest", {"--slots", "2"}).ok());
    EXPECT_TRUE(WaitForSweeps(*cluster_, {sweep_}, absl::Seconds(60)));
    const AuditReport report =
        AuditFarm(*cluster_, {sweep_}, {.samples = kChaosSamples});
    std::cout << report.ToString() << std::endl;
    EXPECT_TRUE(report.findings.empty()) << report.ToString();
  }

  void ExpectCode(const absl::Status& status, absl::StatusCode code,
                  const std::string& what) {
    EXPECT_EQ(status.code(), code) << what << ": " << status;
    EXPECT_LT(status.message().size(), 3000u) << what;
    CountForSummary("faults", 1);
  }

  // Sends an upload as given: the header with the first piece.
  absl::Status Upload(const std::string& digest, int64_t size, int64_t offset,
                      const std::vector<std::string>& pieces,
                      bool header = true) {
    grpc::ClientContext context;
    SetTimeout(context, absl::Seconds(20));
    v1::UploadArtifactResponse response;
    const auto writer = rogue_->artifacts().UploadArtifact(&context, &response);
    bool first = header;
    for (const std::string& piece : pieces) {
      v1::UploadArtifactRequest request;
      if (first) {
        request.mutable_header()->set_digest(digest);
        request.mutable_header()->set_size_bytes(size);
        request.mutable_header()->set_offset(offset);
      }
      first = false;
      request.set_data(piece);
      if (!writer->Write(request)) break;
    }
    writer->WritesDone();
    return ToStatus(writer->Finish());
  }

  int64_t CoordinatorMemory() {
    const auto text =
        ReadFile(absl::StrCat("/proc/", cluster_->coordinator_pid(), "/statm"));
    long pages = 0, resident = 0;
    EXPECT_TRUE(text.ok());
    EXPECT_EQ(std::sscanf(text->c_str(), "%ld %ld", &pages, &resident), 2);
    return resident * 4096;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<RogueWorker> rogue_;
  std::string sweep_;
};

TEST_F(HostileInputTest, FilesThatAreNotWhatTheirDigestSaysAreNotStored) {
  const std::string right(1000, 'r');
  const std::string digest = Sha256Hex(right);
  ExpectCode(Upload(digest, 1000, 0, {std::string(1000, 'x')}),
             absl::StatusCode::kDataLoss, "other bytes");
  ExpectCode(Upload(digest, 999, 0, {right.substr(1)}),
             absl::StatusCode::kDataLoss, "another size");
  ExpectCode(Upload(digest, 1000, 0, {right, "more"}),
             absl::StatusCode::kDataLoss, "more than announced");
  ExpectCode(Upload(digest, 1000, 500, {right.substr(500)}),
             absl::StatusCode::kOutOfRange, "from the middle");
  ExpectCode(Upload(digest, 1000, -1, {right}), absl::StatusCode::kOutOfRange,
             "from before the beginning");
  ExpectCode(Upload(digest, -1, 0, {right}), absl::StatusCode::kInvalidArgument,
             "of negative size");
  EXPECT_THAT(
      Upload(digest, std::numeric_limits<int64_t>::max(), 0, {right}).code(),
      AnyOf(absl::StatusCode::kInvalidArgument,
            absl::StatusCode::kResourceExhausted));
  ExpectCode(Upload(digest, 1000, 0, {right}, /*header=*/false),
             absl::StatusCode::kInvalidArgument, "without a header");
  for (const std::string& bad :
       {std::string(), std::string("../../../etc/passwd"), std::string(64, '/'),
        absl::StrCat("../", digest.substr(3)), std::string(64, 'A'),
        std::string(kMiB, 'a'), digest.substr(0, 63) + std::string(1, '\0')}) {
    ExpectCode(Upload(bad, 4, 0, {"data"}), absl::StatusCode::kInvalidArgument,
               bad.substr(0, 80));
    v1::DownloadArtifactRequest request;
    request.set_digest(bad);
    grpc::ClientContext context;
    const auto reader = rogue_->artifacts().DownloadArtifact(&context, request);
    v1::DownloadArtifactResponse response;
    EXPECT_FALSE(reader->Read(&response));
    ExpectCode(ToStatus(reader->Finish()), absl::StatusCode::kInvalidArgument,
               bad.substr(0, 80));
  }
  // What broke off does not keep the right bytes out.
  ExpectCode(Upload(digest, 1000, 0, {right.substr(0, 100)}),
             absl::StatusCode::kOutOfRange, "that breaks off");
  ExpectCode(Upload(digest, 1000, 100, {right.substr(100)}),
             absl::StatusCode::kOk, "the rest of it");
  ExpectAllIsWell();
}

TEST_F(HostileInputTest, ResultsWithNamesThatLeadElsewhereAreRefused) {
  const std::vector<v1::Lease> leases = rogue_->Acquire(16);
  ASSERT_EQ(leases.size(), 16u);
  size_t next = 0;
  const auto finish =
      [&](absl::StatusCode code, const std::string& what,
          const std::function<void(v1::FinishAttemptRequest&)>& change) {
        const v1::Lease& lease = leases[next++];
        v1::FinishAttemptRequest request = rogue_->Success(
            lease.token(), TinyOof(RogueWorker::Samples(lease), 0.5f));
        change(request);
        ExpectCode(rogue_->Finish(request), code, what);
        const auto job = cluster_->GetJob(lease.spec().job());
        ASSERT_TRUE(job.ok()) << job.status();
        EXPECT_EQ(job->artifacts_size(), 0) << what;
      };
  for (const std::string& name :
       {std::string("../../x"), std::string("/etc/passwd"), std::string("a/b"),
        std::string(".."), std::string(), std::string(5000, 'n'),
        std::string("a\nb"), std::string("weights.safetensors")}) {
    finish(absl::StatusCode::kInvalidArgument, name.substr(0, 80),
           [&](v1::FinishAttemptRequest& request) {
             *request.add_artifacts() = request.artifacts(1);
             request.mutable_artifacts(2)->set_name(name);
           });
  }
  finish(absl::StatusCode::kInvalidArgument, "257 files",
         [&](v1::FinishAttemptRequest& request) {
           while (request.artifacts_size() < 257) {
             v1::ArtifactRef& file = *request.add_artifacts();
             file = request.artifacts(1);
             file.set_name(absl::StrCat("f", request.artifacts_size()));
           }
         });
  finish(absl::StatusCode::kInvalidArgument, "no predictions",
         [&](v1::FinishAttemptRequest& request) {
           request.mutable_artifacts()->DeleteSubrange(0, 1);
         });
  for (const int64_t size :
       {int64_t{-1}, int64_t{5}, std::numeric_limits<int64_t>::max()}) {
    finish(absl::StatusCode::kInvalidArgument, absl::StrCat("of size ", size),
           [&](v1::FinishAttemptRequest& request) {
             request.mutable_artifacts(0)->set_size_bytes(size);
           });
  }
  finish(absl::StatusCode::kFailedPrecondition, "a file that is not stored",
         [&](v1::FinishAttemptRequest& request) {
           request.mutable_artifacts(1)->set_digest(Sha256Hex("nowhere"));
         });
  finish(absl::StatusCode::kInvalidArgument, "a digest that is none",
         [&](v1::FinishAttemptRequest& request) {
           request.mutable_artifacts(1)->set_digest("../../../etc/passwd");
         });
  ExpectAllIsWell();
}

TEST_F(HostileInputTest, TextsWithoutMeasureAreRefusedOrCut) {
  const int64_t before = CoordinatorMemory();
  const std::string huge(10 * kMiB, 'h');
  for (const std::string& name :
       {std::string(), std::string("../x"), std::string("a\nb"),
        std::string(kMiB, 'w'), std::string("\xe2\x98\xa0")}) {
    RogueWorker other(cluster_->endpoint());
    ExpectCode(other.Register(name, 1), absl::StatusCode::kInvalidArgument,
               name.substr(0, 20));
  }
  v1::RegisterRequest wide;
  wide.set_name("wide");
  wide.set_slots(1);
  wide.set_host(huge);
  ExpectCode(rogue_->Call(&Service::Register, wide).status(),
             absl::StatusCode::kInvalidArgument, "a huge host");
  wide.set_host("h");
  for (int i = 0; i < 100'000; ++i) wide.add_devices("cpu");
  ExpectCode(rogue_->Call(&Service::Register, wide).status(),
             absl::StatusCode::kInvalidArgument, "100,000 devices");
  for (const int slots : {0, -5}) {
    ExpectCode(rogue_->Register("few", slots),
               absl::StatusCode::kInvalidArgument, absl::StrCat(slots));
  }

  const std::vector<v1::Lease> leases = rogue_->Acquire(4);
  ASSERT_EQ(leases.size(), 4u);
  v1::ReportProgressRequest report;
  report.set_token(leases[0].token());
  v1::EpochMetrics& epoch = *report.add_epochs();
  epoch.set_epoch(1);
  (*epoch.mutable_values())[huge] = 1;
  ExpectCode(rogue_->Call(&Service::ReportProgress, report).status(),
             absl::StatusCode::kInvalidArgument, "a huge name of a metric");
  epoch.clear_values();
  for (int i = 0; i < 100'000; ++i) {
    (*epoch.mutable_values())[absl::StrCat(i)] = i;
  }
  ExpectCode(rogue_->Call(&Service::ReportProgress, report).status(),
             absl::StatusCode::kInvalidArgument, "100,000 metrics");
  report.clear_epochs();
  v1::LogLine& line = *report.add_lines();
  line.set_sequence(1);
  line.set_text(huge);
  line.set_level(std::string(1000, 'l'));
  line.mutable_time()->set_seconds(std::numeric_limits<int64_t>::max());
  ExpectCode(rogue_->Call(&Service::ReportProgress, report).status(),
             absl::StatusCode::kOk, "a huge line, cut");
  report.mutable_lines(0)->set_text(std::string(20 * kMiB, 'h'));
  EXPECT_FALSE(rogue_->Call(&Service::ReportProgress, report).ok());
  // All fail with ten megabytes of reasons: people must get short answers.
  for (const v1::Lease& lease : leases) {
    v1::FinishAttemptRequest request;
    request.set_session(rogue_->session());
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::FAILED);
    request.set_error(huge);
    for (int i = 0; i < 400; ++i) request.add_log_tail(std::string(10000, 't'));
    ExpectCode(rogue_->Finish(request), absl::StatusCode::kOk, "a huge error");
  }
  v1::ListJobsRequest list;
  list.set_sweep(sweep_);
  const auto jobs =
      UnaryCall(cluster_->farm(), &Farm::ListJobs, list, absl::Seconds(10));
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_LT(jobs->ByteSizeLong(), 200'000u);
  // People's names as well.
  for (const std::string& name :
       {huge, std::string("../../x"), std::string("s1/../0"),
        std::string(1, '\0'), std::string("' OR 1=1 --")}) {
    EXPECT_THAT(cluster_->GetJob(name).status().code(),
                AnyOf(Eq(absl::StatusCode::kNotFound),
                      Eq(absl::StatusCode::kInvalidArgument)))
        << name.substr(0, 20);
    EXPECT_THAT(cluster_->Cancel(name).status().code(),
                AnyOf(Eq(absl::StatusCode::kNotFound),
                      Eq(absl::StatusCode::kInvalidArgument)))
        << name.substr(0, 20);
    v1::SweepSpec spec;
    spec.set_name(name);
    EXPECT_EQ(cluster_->Submit(spec, "tiny").status().code(),
              absl::StatusCode::kInvalidArgument)
        << name.substr(0, 20);
    EXPECT_THAT(cluster_->Submit(spec, name).status().code(),
                AnyOf(Eq(absl::StatusCode::kInvalidArgument),
                      Eq(absl::StatusCode::kNotFound),
                      // Over what a message may hold.
                      Eq(absl::StatusCode::kResourceExhausted)))
        << name.substr(0, 20);
  }
  EXPECT_LT(CoordinatorMemory() - before, int64_t{300} << 20)
      << "bytes more than before";
  ExpectAllIsWell();
}

}  // namespace
}  // namespace foldfarm
