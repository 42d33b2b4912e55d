#include "coordinator/store/artifact_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/disk_space.h"
#include "common/base/files.h"
#include "tests/testing/faulty_files.h"

namespace foldfarm {
namespace {

using Code = absl::StatusCode;

class ArtifactFilesTest : public ::testing::Test {
 protected:
  ArtifactFilesTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-artifacts-")),
        files_(*ArtifactFiles::Open(directory_)) {}
  ~ArtifactFilesTest() override {
    foldfarm_set_faults("");
    RemoveRecursively(directory_).IgnoreError();
  }

  // One whole upload, destroyed afterwards.
  absl::Status Put(const std::string& bytes) {
    auto upload = files_->BeginUpload(Sha256Hex(bytes),
                                      static_cast<int64_t>(bytes.size()), 0);
    if (!upload.ok()) return upload.status();
    if (*upload == nullptr) return absl::OkStatus();
    const absl::Status sent = (*upload)->Append(bytes);
    return sent.ok() ? (*upload)->Finish() : sent;
  }

  void ExpectNothingStored() {
    EXPECT_FALSE(files_->GetStat(digest_)->complete);
    EXPECT_EQ(files_->GetStat(digest_)->size_bytes, 0);
    EXPECT_EQ(files_->Find(digest_).status().code(), Code::kNotFound);
    EXPECT_TRUE(files_->List()->empty());
    EXPECT_EQ(files_->StoredBytes(), 0);
    EXPECT_EQ((*ArtifactFiles::Open(directory_))->StoredBytes(), 0);
  }

  void ExpectStoredOnce() {
    EXPECT_EQ(*ReadFile(*files_->Find(digest_)), text_);
    EXPECT_EQ(files_->StoredBytes(), size_);
    EXPECT_EQ((*ArtifactFiles::Open(directory_))->StoredBytes(), size_);
  }

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

TEST_F(ArtifactFilesTest, WhatAnUploadGoesOnFromIsReadWithTheRest) {
  constexpr char kKept[] = "weights";
  constexpr char kDamaged[] = "wEIGHTS";
  const std::string part =
      JoinPath(directory_, absl::StrCat("uploads/", digest_, ".part"));
  // An upload that finds `before` and whose file has `after` in its place when
  // it is whole.
  const auto go_on = [&](const std::string& before, const std::string& after) {
    EXPECT_TRUE(WriteFileAtomically(part, before).ok());
    auto upload = *files_->BeginUpload(digest_, size_, 7);
    std::fstream file(part, std::ios::in | std::ios::out | std::ios::binary);
    file << after << std::flush;
    EXPECT_TRUE(file.good());
    EXPECT_TRUE(upload->Append(text_.substr(7)).ok());
    return upload->Finish();
  };
  EXPECT_EQ(go_on(kKept, kDamaged).code(), Code::kDataLoss);
  ExpectNothingStored();
  EXPECT_TRUE(go_on(kDamaged, kKept).ok());
  ExpectStoredOnce();
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

// A disk that fails.

TEST_F(ArtifactFilesTest, AFileWhoseFlushFailedIsSentAnew) {
  foldfarm_set_faults(absl::StrCat("fsync:", digest_, ".part$:1").c_str());
  EXPECT_EQ(Put(text_).code(), Code::kUnavailable);
  ExpectNothingStored();
  // The cache still has all bytes; nobody goes on from there.
  EXPECT_EQ(files_->BeginUpload(digest_, size_, size_).status().code(),
            Code::kOutOfRange);
  EXPECT_TRUE(Put(text_).ok());
  ExpectStoredOnce();
}

TEST_F(ArtifactFilesTest, AFileWhoseNameWasNotFlushedIsSentAnew) {
  foldfarm_set_faults(
      absl::StrCat("fsync:/artifacts/", digest_.substr(0, 2), "$:1").c_str());
  EXPECT_EQ(Put(text_).code(), Code::kUnavailable);
  ExpectNothingStored();
  EXPECT_TRUE(Put(text_).ok());
  ExpectStoredOnce();
}

TEST_F(ArtifactFilesTest, AFolderIsFlushedBeforeAFileAppearsInIt) {
  for (int i = 0; i < 2; ++i) {
    foldfarm_set_faults("fsync:/artifacts$:1");
    EXPECT_EQ(Put(text_).code(), Code::kUnavailable);
    ExpectNothingStored();
  }
  EXPECT_TRUE(Put(text_).ok());
  ExpectStoredOnce();
}

// Room for uploads under way.

TEST_F(ArtifactFilesTest, UploadsThatBeginTogetherShareTheLimit) {
  files_ = *ArtifactFiles::Open(directory_, {.max_bytes = 10});
  const std::string other = Sha256Hex("123456");
  auto first = *files_->BeginUpload(Sha256Hex("abcdef"), 6, 0);
  EXPECT_EQ(files_->BeginUpload(other, 6, 0).status().code(),
            Code::kResourceExhausted);
  first.reset();
  EXPECT_TRUE(files_->BeginUpload(other, 6, 0).ok());
}

TEST_F(ArtifactFilesTest, WhatIsWrittenOrStoredCountsOnce) {
  files_ = *ArtifactFiles::Open(directory_, {.max_bytes = 10});
  auto first = *files_->BeginUpload(Sha256Hex("abcdef"), 6, 0);
  const auto expect_room_for_four = [&] {
    EXPECT_TRUE(files_->BeginUpload(Sha256Hex("1234"), 4, 0).ok());
    EXPECT_EQ(files_->BeginUpload(Sha256Hex("12345"), 5, 0).status().code(),
              Code::kResourceExhausted);
  };
  expect_room_for_four();
  ASSERT_TRUE(first->Append("abc").ok());
  expect_room_for_four();
  ASSERT_TRUE(first->Append("def").ok());
  expect_room_for_four();
  ASSERT_TRUE(first->Finish().ok());
  expect_room_for_four();
  first.reset();
  expect_room_for_four();
}

TEST_F(ArtifactFilesTest, AnUploadThatGoesOnCountsWithWhatWasKept) {
  files_ = *ArtifactFiles::Open(directory_, {.max_bytes = 10});
  const std::string digest = Sha256Hex("abcdef");
  {
    auto upload = *files_->BeginUpload(digest, 6, 0);
    ASSERT_TRUE(upload->Append("abcde").ok());
  }
  ASSERT_TRUE(Put("12345").ok());
  EXPECT_EQ(files_->BeginUpload(digest, 6, 5).status().code(),
            Code::kResourceExhausted);
  files_->Remove(Sha256Hex("12345"));
  EXPECT_TRUE(files_->BeginUpload(digest, 6, 5).ok());
}

TEST_F(ArtifactFilesTest, UploadsThatBeginTogetherShareTheDisk) {
  files_ = *ArtifactFiles::Open(
      directory_, {.max_size_bytes = std::numeric_limits<int64_t>::max(),
                   .spare_bytes = 0});
  // Only promised, never written.
  const int64_t size = *FreeBytes(directory_) / 3 * 2;
  auto first = *files_->BeginUpload(Sha256Hex("a"), size, 0);
  EXPECT_EQ(files_->BeginUpload(Sha256Hex("b"), size, 0).status().code(),
            Code::kResourceExhausted);
  first.reset();
  EXPECT_TRUE(files_->BeginUpload(Sha256Hex("b"), size, 0).ok());
}

TEST_F(ArtifactFilesTest, ARefusedUploadHoldsNoRoom) {
  files_ = *ArtifactFiles::Open(directory_, {.max_bytes = 10});
  EXPECT_EQ(files_->BeginUpload(Sha256Hex("abcdef"), 6, 3).status().code(),
            Code::kOutOfRange);
  EXPECT_TRUE(files_->BeginUpload(Sha256Hex("1234567890"), 10, 0).ok());
}

TEST_F(ArtifactFilesTest, WhatIsFinishedIsNotUploadedAgain) {
  auto first = *files_->BeginUpload(digest_, size_, 0);
  ASSERT_TRUE(first->Append(text_).ok());
  ASSERT_TRUE(first->Finish().ok());
  EXPECT_EQ(*files_->BeginUpload(digest_, size_, 0), nullptr);
  files_->Remove(digest_);
  // The digest is the second's alone, also when the first goes.
  auto second = *files_->BeginUpload(digest_, size_, 0);
  first.reset();
  EXPECT_EQ(files_->BeginUpload(digest_, size_, 0).status().code(),
            Code::kUnavailable);
  ASSERT_TRUE(second->Append(text_).ok());
  ASSERT_TRUE(second->Finish().ok());
  ExpectStoredOnce();
}

TEST_F(ArtifactFilesTest, StreamsThatRaceForOneFileStoreItOnce) {
  constexpr int kStreams = 4;
  constexpr int kFiles = 50;
  for (int i = 0; i < kFiles; ++i) {
    const std::string bytes = absl::StrCat(i + 100);
    std::vector<std::thread> streams;
    for (int s = 0; s < kStreams; ++s) {
      streams.emplace_back([&] {
        absl::Status status = Put(bytes);
        while (status.code() == Code::kUnavailable) status = Put(bytes);
        EXPECT_TRUE(status.ok()) << status;
      });
    }
    for (std::thread& stream : streams) stream.join();
    ASSERT_EQ(files_->StoredBytes(), 3 * (i + 1));
  }
}

}  // namespace
}  // namespace foldfarm
