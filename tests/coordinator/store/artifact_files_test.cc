#include "coordinator/store/artifact_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/digest.h"
#include "common/base/files.h"

namespace foldfarm {
namespace {

using Code = absl::StatusCode;

class ArtifactFilesTest : public ::testing::Test {
 protected:
  ArtifactFilesTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-artifacts-")),
        files_(*ArtifactFiles::Open(directory_)) {}
  ~ArtifactFilesTest() override { RemoveRecursively(directory_).IgnoreError(); }

  const std::string text_ = "weights of a small model";
  const std::string digest_ = Sha256Hex(text_);
  const int64_t size_ = static_cast<int64_t>(text_.size());
  const std::string directory_;
  std::unique_ptr<ArtifactFiles> files_;
};

TEST_F(ArtifactFilesTest, AFileAppearsUnderItsDigestOnceItIsWhole) {
  auto upload = *files_->BeginUpload(digest_, size_, 0);
  ASSERT_TRUE(upload->Append(text_).ok());
  EXPECT_FALSE(files_->GetStat(digest_)->complete);
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_TRUE(files_->GetStat(digest_)->complete);
  EXPECT_EQ(*ReadFile(*files_->Find(digest_)), text_);
  EXPECT_EQ(*files_->BeginUpload(digest_, size_, 0), nullptr);
}

TEST_F(ArtifactFilesTest, ABrokenUploadGoesOnWhereItStopped) {
  {
    auto upload = *files_->BeginUpload(digest_, size_, 0);
    ASSERT_TRUE(upload->Append(text_.substr(0, 10)).ok());
    EXPECT_EQ(upload->Finish().code(), Code::kOutOfRange);
  }
  files_ = *ArtifactFiles::Open(directory_);
  EXPECT_EQ(files_->GetStat(digest_)->size_bytes, 10);
  EXPECT_EQ(files_->BeginUpload(digest_, size_, 7).status().code(),
            Code::kOutOfRange);
  auto upload = *files_->BeginUpload(digest_, size_, 10);
  ASSERT_TRUE(upload->Append(text_.substr(10)).ok());
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(*ReadFile(*files_->Find(digest_)), text_);
}

TEST_F(ArtifactFilesTest, BytesOfAnotherDigestAreDropped) {
  {
    auto upload = *files_->BeginUpload(digest_, size_, 0);
    ASSERT_TRUE(upload->Append(std::string(text_.size(), 'x')).ok());
    EXPECT_EQ(upload->Finish().code(), Code::kDataLoss);
  }
  EXPECT_FALSE(files_->GetStat(digest_)->complete);
  EXPECT_EQ(files_->GetStat(digest_)->size_bytes, 0);
}

TEST_F(ArtifactFilesTest, MoreBytesThanAnnouncedAreDropped) {
  {
    auto upload = *files_->BeginUpload(digest_, size_, 0);
    EXPECT_EQ(upload->Append(text_ + "!").code(), Code::kDataLoss);
  }
  EXPECT_EQ(files_->GetStat(digest_)->size_bytes, 0);
}

TEST_F(ArtifactFilesTest, TwoStreamsDoNotWriteOneFile) {
  auto first = *files_->BeginUpload(digest_, size_, 0);
  EXPECT_EQ(files_->BeginUpload(digest_, size_, 0).status().code(),
            Code::kUnavailable);
  first.reset();
  EXPECT_TRUE(files_->BeginUpload(digest_, size_, 0).ok());
}

TEST_F(ArtifactFilesTest, WhatIsNoDigestNeverBecomesAPath) {
  for (const std::string& digest :
       {std::string("../../etc/passwd"), std::string(64, 'A'), std::string()}) {
    EXPECT_EQ(files_->GetStat(digest).status().code(), Code::kInvalidArgument);
    EXPECT_EQ(files_->BeginUpload(digest, 1, 0).status().code(),
              Code::kInvalidArgument);
    EXPECT_EQ(files_->Find(digest).status().code(), Code::kInvalidArgument);
  }
}

TEST_F(ArtifactFilesTest, ASizeAboveTheLimitIsRefused) {
  EXPECT_EQ(files_->BeginUpload(digest_, ArtifactFiles::kMaxSizeBytes + 1, 0)
                .status()
                .code(),
            Code::kInvalidArgument);
  EXPECT_EQ(files_->BeginUpload(digest_, -1, 0).status().code(),
            Code::kInvalidArgument);
}

TEST_F(ArtifactFilesTest, ARemovedFileCanBeUploadedAgain) {
  for (int i = 0; i < 2; ++i) {
    auto upload = *files_->BeginUpload(digest_, size_, 0);
    ASSERT_NE(upload, nullptr);
    ASSERT_TRUE(upload->Append(text_).ok());
    ASSERT_TRUE(upload->Finish().ok());
    ASSERT_TRUE(files_->GetStat(digest_)->complete);
    files_->Remove(digest_);
    EXPECT_FALSE(files_->GetStat(digest_)->complete);
  }
}

}  // namespace
}  // namespace foldfarm
