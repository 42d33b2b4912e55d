#include "common/rpc/artifact_client.h"

#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/rpc/channel.h"
#include "tests/common/rpc/fake_artifact_service.h"
#include "tests/common/rpc/instant_clock.h"
#include "tests/testing/faulty_files.h"
#include "tests/testing/loopback_server.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ArtifactClientTest : public testing::Test {
 protected:
  ArtifactClientTest()
      : directory_(*MakeTemporaryDirectory("artifact_client_test")) {
    for (int i = 0; data_.size() < 10'000; ++i) absl::StrAppend(&data_, i, ",");
    data_.resize(10'000);
    digest_ = Sha256Hex(data_);
    source_ = JoinPath(directory_, "weights.safetensors");
    target_ = JoinPath(directory_, "fetched");
    EXPECT_TRUE(WriteFileAtomically(source_, data_).ok());
    int port = 0;
    server_ = ServeOnLoopback({&service_}, port);
    stub_ = v1::ArtifactService::NewStub(
        MakeChannel(absl::StrCat("127.0.0.1:", port)));
    options_.clock = &clock_;
    options_.chunk_bytes = 1000;
    options_.retry.give_up_after = absl::Seconds(30);
  }

  ~ArtifactClientTest() override {
    server_->Shutdown();
    EXPECT_TRUE(RemoveRecursively(directory_).ok());
  }

  absl::Status Fetch() {
    return DownloadFile(*stub_, digest_, static_cast<int64_t>(data_.size()),
                        target_, options_);
  }

  const std::string directory_;
  std::string data_, digest_, source_, target_;
  InstantClock clock_;
  TransferOptions options_;
  FakeArtifactService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

TEST_F(ArtifactClientTest, WhatIsNoDigestIsNotAskedFor) {
  for (const char* digest : {"", "../x", "/etc/x", "a/../../b"}) {
    const absl::Status status =
        DownloadFile(*stub_, digest, 3, target_, options_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << digest;
    EXPECT_THAT(std::string(status.message()), HasSubstr("SHA-256"));
  }
  EXPECT_THAT(service_.download_offsets, IsEmpty());
}

TEST_F(ArtifactClientTest, APlantedLinkIsNotWrittenThrough) {
  service_.stored[digest_] = data_;
  const std::string precious = JoinPath(directory_, "precious");
  ASSERT_TRUE(WriteFileAtomically(precious, "precious").ok());
  const std::string part = absl::StrCat(target_, ".part");
  ASSERT_EQ(symlink(precious.c_str(), part.c_str()), 0);
  const absl::Status status = Fetch();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("symbolic link"));
  EXPECT_EQ(ReadFile(precious).value(), "precious");
  // The file itself may be one: it is replaced.
  ASSERT_EQ(unlink(part.c_str()), 0);
  ASSERT_EQ(symlink(precious.c_str(), target_.c_str()), 0);
  EXPECT_TRUE(Fetch().ok());
  EXPECT_EQ(ReadFile(precious).value(), "precious");
  EXPECT_EQ(ReadFile(target_).value(), data_);
}

TEST_F(ArtifactClientTest, AnUploadedFileIsStoredUnderItsDigest) {
  std::vector<int64_t> progress;
  options_.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 10'000);
    progress.push_back(done);
  };
  const auto artifact = UploadFile(*stub_, source_, "", options_);
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->name(), "weights.safetensors");
  EXPECT_EQ(artifact->digest(), digest_);
  EXPECT_EQ(artifact->size_bytes(), 10'000);
  EXPECT_EQ(service_.stored[digest_], data_);
  ASSERT_EQ(progress.size(), 10u);
  EXPECT_EQ(progress.front(), 1000);
  EXPECT_EQ(progress.back(), 10'000);
}

TEST_F(ArtifactClientTest, WhatIsStoredIsNotSentAgain) {
  service_.stored[digest_] = data_;
  ASSERT_TRUE(UploadFile(*stub_, source_, digest_, options_).ok());
  EXPECT_THAT(service_.upload_offsets, IsEmpty());
}

TEST_F(ArtifactClientTest, ABrokenUploadGoesOnWhereItStopped) {
  service_.faults.break_upload_after = {2500, 4000};
  ASSERT_TRUE(UploadFile(*stub_, source_, digest_, options_).ok());
  EXPECT_THAT(service_.upload_offsets, ElementsAre(0, 2500, 6500));
  EXPECT_EQ(service_.bytes_received, 10'000);
  EXPECT_EQ(service_.stored[digest_], data_);
}

TEST_F(ArtifactClientTest, AnUploadThatDisagreesAboutTheOffsetAsksAgain) {
  service_.faults.claim_kept = {3000};
  ASSERT_TRUE(UploadFile(*stub_, source_, digest_, options_).ok());
  EXPECT_THAT(service_.upload_offsets, ElementsAre(3000, 0));
}

TEST_F(ArtifactClientTest, AnUploadThatArrivesDamagedStartsOver) {
  service_.faults.fail_upload = {{grpc::StatusCode::DATA_LOSS, "wrong digest"}};
  ASSERT_TRUE(UploadFile(*stub_, source_, digest_, options_).ok());
  EXPECT_EQ(service_.stored[digest_], data_);
}

TEST_F(ArtifactClientTest, AWrongDigestIsGivenUpWithTheFilesName) {
  const auto artifact =
      UploadFile(*stub_, source_, Sha256Hex("other"), options_);
  EXPECT_EQ(artifact.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(artifact.status().message()),
              HasSubstr("upload of weights.safetensors (10000 bytes, sha256 "));
  EXPECT_EQ(service_.upload_offsets.size(), 3u);
}

TEST_F(ArtifactClientTest, AFullDiskIsNotRetried) {
  service_.faults.fail_upload = {
      {grpc::StatusCode::RESOURCE_EXHAUSTED, "no room"}};
  const auto artifact = UploadFile(*stub_, source_, digest_, options_);
  EXPECT_TRUE(absl::IsResourceExhausted(artifact.status()));
  EXPECT_EQ(service_.upload_offsets.size(), 1u);
}

TEST_F(ArtifactClientTest, EmptyAndInMemoryArtifactsTravelToo) {
  const auto empty = UploadBytes(*stub_, "", "empty", options_);
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(service_.stored.count(Sha256Hex("")), 1u);
  ASSERT_TRUE(DownloadFile(*stub_, empty->digest(), 0, target_, options_).ok());
  EXPECT_EQ(*FileSize(target_), 0);
  const auto some = UploadBytes(*stub_, data_, "some", options_);
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(some->name(), "some");
  EXPECT_EQ(service_.stored[digest_], data_);
}

TEST_F(ArtifactClientTest, AMissingFileIsNotFoundBeforeAnyCall) {
  EXPECT_TRUE(absl::IsNotFound(
      UploadFile(*stub_, JoinPath(directory_, "gone"), "", options_).status()));
}

TEST_F(ArtifactClientTest, ADownloadAppearsWholeAndLeavesNothingElse) {
  service_.stored[digest_] = data_;
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(*ReadFile(target_), data_);
  EXPECT_FALSE(FileExists(target_ + ".part"));
}

TEST_F(ArtifactClientTest, ADownloadWhoseFlushFailedIsFetchedAnew) {
  service_.stored[digest_] = data_;
  ASSERT_TRUE(WriteFileAtomically(target_, "former").ok());
  foldfarm_set_faults("fsync:fetched.part:1");
  EXPECT_FALSE(Fetch().ok());
  foldfarm_set_faults("");
  EXPECT_FALSE(FileExists(target_ + ".part"));
  EXPECT_EQ(*ReadFile(target_), "former");
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(service_.download_offsets, ElementsAre(0, 0));
  EXPECT_EQ(*ReadFile(target_), data_);
}

TEST_F(ArtifactClientTest, ABrokenDownloadGoesOnAtItsEnd) {
  service_.stored[digest_] = data_;
  service_.faults.break_download_after = {2500, 7000};
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(service_.download_offsets, ElementsAre(0, 2500, 7000));
  EXPECT_EQ(*ReadFile(target_), data_);
}

TEST_F(ArtifactClientTest, ADownloadGoesOnAfterThisProcessWasRestarted) {
  service_.stored[digest_] = data_;
  ASSERT_TRUE(
      WriteFileAtomically(target_ + ".part", data_.substr(0, 4321)).ok());
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(service_.download_offsets, ElementsAre(4321));
  EXPECT_EQ(*ReadFile(target_), data_);
}

TEST_F(ArtifactClientTest, APartThatIsAlreadyWholeIsOnlyChecked) {
  service_.stored[digest_] = data_;
  ASSERT_TRUE(WriteFileAtomically(target_ + ".part", data_).ok());
  ASSERT_TRUE(Fetch().ok());
  EXPECT_THAT(service_.download_offsets, IsEmpty());
}

TEST_F(ArtifactClientTest, AForeignPartIsThrownAway) {
  service_.stored[digest_] = data_;
  ASSERT_TRUE(WriteFileAtomically(target_ + ".part", "something else").ok());
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(*ReadFile(target_), data_);
  EXPECT_THAT(service_.download_offsets, ElementsAre(14, 0));
}

TEST_F(ArtifactClientTest, WrongBytesNeverAppearUnderTheName) {
  service_.stored[digest_] = data_;
  service_.faults.garble_downloads = 2;
  const absl::Status status = Fetch();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("download of artifact ", digest_)));
  EXPECT_FALSE(FileExists(target_));
  EXPECT_FALSE(FileExists(target_ + ".part"));
  EXPECT_TRUE(Fetch().ok());
}

TEST_F(ArtifactClientTest, AnUnknownArtifactIsNotFound) {
  const absl::Status status = Fetch();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(digest_));
}

TEST_F(ArtifactClientTest, ATransferStopsBetweenChunksWhenCancelled) {
  int asked = 0;
  options_.cancelled = [&] { return ++asked > 4; };
  EXPECT_TRUE(absl::IsCancelled(
      UploadFile(*stub_, source_, digest_, options_).status()));
  EXPECT_TRUE(service_.stored.empty());
}

TEST_F(ArtifactClientTest, AStoreThatStaysAwayIsGivenUp) {
  server_->Shutdown();
  const absl::Status status = Fetch();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("tries in"));
}

TEST_F(ArtifactClientTest, OnlyStandingStillCountsTowardsGivingUp) {
  service_.stored[digest_] = data_;
  // Two hundred breaks would take minutes of backoff if they added up.
  for (int i = 1; i <= 200; ++i) {
    service_.faults.break_download_after.push_back(i * 50);
  }
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(*ReadFile(target_), data_);
}

}  // namespace
}  // namespace foldfarm
