// The daemon's folders: scratch, attempts and the dataset cache.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "tests/worker/agent/fake_coordinator.h"
#include "worker/agent/attempt_folder.h"
#include "worker/agent/dataset_cache.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FoldersTest : public ::testing::Test {
 protected:
  void SetUp() override { dir_ = MakeTemporaryDirectory("agent").value(); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(dir_).ok()); }
  std::string Path(const std::string& name) { return JoinPath(dir_, name); }
  std::string dir_;
};

TEST_F(FoldersTest, ScratchOfADeadWorkerIsRemovedAndThatOfALivingOneKept) {
  auto living = ScratchFolder::Create(dir_, "living");
  ASSERT_TRUE(living.ok()) << living.status();
  ASSERT_TRUE(MakeDirectories(Path("scratch/dead/17-abc/checkpoint")).ok());
  auto next = ScratchFolder::Create(dir_, "next");
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_FALSE(FileExists(Path("scratch/dead")));
  EXPECT_TRUE(FileExists(Path("scratch/living")));
  EXPECT_TRUE(FileExists(Path("scratch/next")));
  next->reset();
  EXPECT_FALSE(FileExists(Path("scratch/next")));
}

TEST_F(FoldersTest, TwoWorkersOfOneNameInOneFolderAreRefused) {
  auto first = ScratchFolder::Create(dir_, "gpu-1");
  ASSERT_TRUE(first.ok());
  auto second = ScratchFolder::Create(dir_, "gpu-1");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--name"));
}

TEST_F(FoldersTest, OfADeadWorkerNothingStays) {
  ASSERT_TRUE(MakeDirectories(Path("scratch/w/7-abc")).ok());
  ASSERT_TRUE(MakeDirectories(Path("scratch/dead/8-abc")).ok());
  // A removal that was broken off, and a lock alone.
  ASSERT_TRUE(MakeDirectories(Path("scratch/other~1a2b/9-abc")).ok());
  for (const char* lock : {"w", "dead", "other~1a2b", "gone"}) {
    ASSERT_TRUE(
        WriteFileAtomically(Path(absl::StrCat("scratch/", lock, ".lock")), "1")
            .ok());
  }
  auto next = ScratchFolder::Create(dir_, "w");
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_THAT(*ListDirectory(Path("scratch")), ElementsAre("w", "w.lock"));
  EXPECT_THAT(*ListDirectory(Path("scratch/w")), IsEmpty());
  next->reset();
  EXPECT_THAT(*ListDirectory(Path("scratch")), IsEmpty());
}

// As when a box comes up again: what each left behind is in the other's way.
TEST_F(FoldersTest, WorkersThatStartTogetherAfterACrashAllStart) {
  const std::vector<std::string> names = {"w0", "w1", "w2", "w3"};
  for (int round = 0; round < 100; ++round) {
    for (const std::string& name : names) {
      ASSERT_TRUE(MakeDirectories(Path("scratch/" + name + "/7-abc")).ok());
    }
    std::vector<std::unique_ptr<ScratchFolder>> folders(names.size());
    std::vector<std::thread> workers;
    for (size_t i = 0; i < names.size(); ++i) {
      workers.emplace_back([this, &name = names[i], &folder = folders[i]] {
        auto created = ScratchFolder::Create(dir_, name);
        EXPECT_TRUE(created.ok()) << created.status();
        if (created.ok()) folder = *std::move(created);
      });
    }
    for (std::thread& worker : workers) worker.join();
    for (const auto& folder : folders) {
      ASSERT_NE(folder, nullptr) << "round " << round;
      EXPECT_TRUE(FileExists(folder->path())) << "removed by another";
      EXPECT_THAT(*ListDirectory(folder->path()), IsEmpty());
    }
  }
}

TEST_F(FoldersTest, AWorkerThatHangsInItsStartIsNotWaitedForForEver) {
  ASSERT_TRUE(MakeDirectories(dir_).ok());
  const auto hanging = FileLock::Acquire(Path("scratch.lock"));
  ASSERT_TRUE(hanging.ok()) << hanging.status();
  const auto next = ScratchFolder::Create(dir_, "w", absl::Milliseconds(5));
  EXPECT_EQ(next.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(next.status().message()),
              AllOf(HasSubstr("waited 5ms for another worker"),
                    HasSubstr(absl::StrCat("(pid ", getpid(), ")"))));
}

// One that leaves takes its lock along, never that of who comes after it.
TEST_F(FoldersTest, ANameIsFreeOnceAndForOneWhenItsWorkerLeaves) {
  for (int round = 0; round < 30; ++round) {
    auto leaving = ScratchFolder::Create(dir_, "w");
    ASSERT_TRUE(leaving.ok()) << leaving.status();
    std::vector<std::unique_ptr<ScratchFolder>> folders(3);
    std::atomic<bool> taken = false;
    std::vector<std::thread> workers;
    for (auto& folder : folders) {
      workers.emplace_back([this, &taken, &folder] {
        // Goes on for a while after another has it.
        for (int left = 10; left > 0 && folder == nullptr; left -= taken) {
          auto created = ScratchFolder::Create(dir_, "w");
          if (created.ok()) folder = *std::move(created);
        }
        taken = true;
      });
    }
    leaving->reset();
    for (std::thread& worker : workers) worker.join();
    int live = 0;
    for (const auto& folder : folders) {
      if (folder == nullptr) continue;
      ++live;
      EXPECT_TRUE(FileExists(folder->path()));
    }
    ASSERT_EQ(live, 1) << "round " << round;
  }
}

TEST_F(FoldersTest, AnAttemptFindsItsJobAndTheDataset) {
  ASSERT_TRUE(WriteFileAtomically(Path("data"), "bytes").ok());
  v1::AttemptSpec spec;
  spec.set_job("s1/m/0");
  spec.set_device("cpu");
  spec.set_threads(2);
  spec.add_validation_samples("S7");
  spec.mutable_model()->mutable_train()->set_epochs(3);
  std::string path;
  {
    const auto folder = AttemptFolder::Create(dir_, 42, spec, Path("data"));
    ASSERT_TRUE(folder.ok()) << folder.status();
    path = (*folder)->path();
    EXPECT_THAT(BaseName(path), HasSubstr("42-"));
    EXPECT_EQ(*ReadFile(JoinPath(path, "dataset.safetensors")), "bytes");
    const auto json = ParseJson(*ReadFile(JoinPath(path, "attempt.json")));
    EXPECT_EQ(json["job"], "s1/m/0");
    EXPECT_EQ(json["fold"], 0) << "zeros are written too";
    EXPECT_EQ(json["threads"], 2);
    EXPECT_EQ(json["validationSamples"][0], "S7");
    EXPECT_EQ(json["model"]["train"]["epochs"], 3);
  }
  EXPECT_FALSE(FileExists(path));
  EXPECT_EQ(*ReadFile(Path("data")), "bytes");
}

TEST_F(FoldersTest, AUsersFileIsTheAttemptsOwnCopyThatRuns) {
  ASSERT_TRUE(WriteFileAtomically(Path("shared"), "#!/bin/sh").ok());
  ASSERT_EQ(chmod(Path("shared").c_str(), 0444), 0);
  const auto folder =
      AttemptFolder::Create(dir_, 1, v1::AttemptSpec(), Path("shared"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  ASSERT_TRUE(
      (*folder)
          ->AddInput("run.sh", Path("shared"), AttemptFolder::Input::kUsers)
          .ok());
  const std::string copy = JoinPath((*folder)->path(), "run.sh");
  struct stat info, shared;
  ASSERT_EQ(stat(copy.c_str(), &info), 0);
  ASSERT_EQ(stat(Path("shared").c_str(), &shared), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0755u);
  EXPECT_NE(info.st_ino, shared.st_ino);
  EXPECT_EQ(
      (*folder)
          ->AddInput("run.sh", Path("shared"), AttemptFolder::Input::kUsers)
          .code(),
      absl::StatusCode::kAlreadyExists);
}

TEST_F(FoldersTest, NoInputReplacesTheFarmsFilesOrLeavesTheFolder) {
  ASSERT_TRUE(WriteFileAtomically(Path("shared"), "x").ok());
  const auto folder =
      AttemptFolder::Create(dir_, 1, v1::AttemptSpec(), Path("shared"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  for (const char* name : {"attempt.json", "dataset.safetensors", "../x",
                           "/tmp/x", "..", "checkpoint", "init.weights"}) {
    EXPECT_EQ((*folder)
                  ->AddInput(name, Path("shared"), AttemptFolder::Input::kUsers)
                  .code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
  EXPECT_TRUE((*folder)
                  ->AddInput("init.weights", Path("shared"),
                             AttemptFolder::Input::kLinked)
                  .ok());
}

TEST_F(FoldersTest, APredictingAttemptFindsAResultUnderItsOwnNames) {
  ASSERT_TRUE(WriteFileAtomically(Path("shared"), "x").ok());
  const auto folder =
      AttemptFolder::Create(dir_, 1, v1::AttemptSpec(), Path("shared"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto add = [&](const char* name) {
    return (*folder)
        ->AddInput(name, Path("shared"), AttemptFolder::Input::kResult)
        .code();
  };
  EXPECT_EQ(add("weights.safetensors"), absl::StatusCode::kOk);
  EXPECT_EQ(add("model.ubj"), absl::StatusCode::kOk);
  EXPECT_EQ(add("model.ubj"), absl::StatusCode::kAlreadyExists);
  struct stat info;
  ASSERT_EQ(stat(JoinPath((*folder)->path(), "model.ubj").c_str(), &info), 0);
  EXPECT_GE(info.st_nlink, 3u) << "linked, not copied";
  for (const char* name : {"attempt.json", "dataset.safetensors",
                           "predictions.safetensors", "../x", "a/b"}) {
    EXPECT_EQ(add(name), absl::StatusCode::kInvalidArgument) << name;
  }
}

class DatasetCacheTest : public FoldersTest {
 protected:
  FakeCoordinator coordinator_;
  AttemptControl control_{Clock::Real()};
};

TEST_F(DatasetCacheTest, FetchesADatasetOnceForAllDaemonsOnTheBox) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  DatasetCache cache(dir_, coordinator_);
  DatasetCache other_daemon(dir_, coordinator_);
  const auto path = cache.Get(dataset, control_);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*ReadFile(*path), "bytes");
  struct stat info;
  ASSERT_EQ(stat(path->c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0222u, 0u) << "attempts link to it";
  EXPECT_EQ(*cache.Get(dataset, control_), *path);
  EXPECT_EQ(*other_daemon.Get(dataset, control_), *path);
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_EQ(coordinator_.calls["Download"], 1);
}

TEST_F(DatasetCacheTest, FetchesADamagedFileAgain) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  ASSERT_TRUE(MakeDirectories(Path("cache")).ok());
  ASSERT_TRUE(
      WriteFileAtomically(Path("cache/" + dataset.digest()), "byt").ok());
  DatasetCache cache(dir_, coordinator_);
  const auto path = cache.Get(dataset, control_);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*ReadFile(*path), "bytes");
}

TEST_F(DatasetCacheTest, NoticesThatAnAttemptWroteIntoTheSharedFile) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  DatasetCache cache(dir_, coordinator_);
  const auto path = cache.Get(dataset, control_);
  ASSERT_TRUE(path.ok()) << path.status();
  const auto folder = AttemptFolder::Create(dir_, 1, v1::AttemptSpec(), *path);
  ASSERT_TRUE(folder.ok()) << folder.status();
  const std::string link = JoinPath((*folder)->path(), "dataset.safetensors");
  ASSERT_EQ(chmod(link.c_str(), 0644), 0);
  {
    auto file = AppendFile::Open(link);
    ASSERT_TRUE(file.ok() && (*file)->Append(" and more").ok());
  }
  ASSERT_EQ(*ReadFile(*path), "bytes and more");
  ASSERT_TRUE(cache.Get(dataset, control_).ok());
  EXPECT_EQ(*ReadFile(*path), "bytes");
}

TEST_F(DatasetCacheTest, WaitsForTheCoordinatorAndForWhoeverFetchesTheSame) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  DatasetCache cache(dir_, coordinator_);
  ASSERT_TRUE(MakeDirectories(Path("cache")).ok());
  auto lock = FileLock::Acquire(Path("cache/" + dataset.digest() + ".lock"));
  ASSERT_TRUE(lock.ok());
  int tries = 0;
  coordinator_.SetFault([&tries](const std::string&) {
    return ++tries < 3 ? absl::UnavailableError("away") : absl::OkStatus();
  });
  absl::StatusOr<std::string> path = absl::UnknownError("");
  std::thread getter([&] { path = cache.Get(dataset, control_); });
  lock->reset();
  getter.join();
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(tries, 3);
}

TEST_F(DatasetCacheTest, GivesUpWhenStopped) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  DatasetCache cache(dir_, coordinator_);
  coordinator_.GoAway();
  std::thread stopper([&] {
    EXPECT_TRUE(coordinator_.WaitUntil(
        [&] { return coordinator_.calls["Download"] >= 1; }));
    control_.Stop(StopReason::kDrain);
  });
  EXPECT_EQ(cache.Get(dataset, control_).status().code(),
            absl::StatusCode::kCancelled);
  stopper.join();
}

TEST_F(DatasetCacheTest, DropsWhatWasNotUsedForLongestWhenItIsFull) {
  const v1::ArtifactRef old = coordinator_.Store(std::string(100, 'o'), "o");
  const v1::ArtifactRef linked = coordinator_.Store(std::string(100, 'l'), "l");
  const v1::ArtifactRef used = coordinator_.Store(std::string(100, 'u'), "u");
  const v1::ArtifactRef young = coordinator_.Store(std::string(100, 'y'), "y");
  DatasetCache cache(dir_, coordinator_, /*max_bytes=*/350, absl::Hours(1));
  const auto get = [&](const v1::ArtifactRef& artifact, int hours_ago) {
    const auto path = cache.Get(artifact, control_);
    EXPECT_TRUE(path.ok()) << path.status();
    const timespec times[2] = {
        absl::ToTimespec(Clock::Real().Now() - absl::Hours(hours_ago)),
        {0, UTIME_OMIT}};
    EXPECT_EQ(utimensat(AT_FDCWD, path->c_str(), times, 0), 0);
    return *path;
  };
  const std::string linked_path = get(linked, 9);
  ASSERT_EQ(link(linked_path.c_str(), Path("attempt").c_str()), 0);
  const std::string old_path = get(old, 5);
  const std::string used_path = get(used, 8);
  EXPECT_TRUE(cache.Get(used, control_).ok());  // Now.
  EXPECT_TRUE(cache.Get(young, control_).ok());
  EXPECT_FALSE(FileExists(old_path));
  EXPECT_TRUE(FileExists(linked_path)) << "an attempt works with it";
  EXPECT_TRUE(FileExists(used_path));
  EXPECT_TRUE(cache.Get(old, control_).ok()) << "fetched again";
}

TEST_F(DatasetCacheTest, WhatABrokenFetchLeftCountsAndGoesWhenNobodyFetches) {
  const v1::ArtifactRef dataset =
      coordinator_.Store(std::string(100, 'd'), "d");
  ASSERT_TRUE(MakeDirectories(Path("cache")).ok());
  const auto add_part = [&](char digit, int hours_ago) {
    const std::string path =
        Path(absl::StrCat("cache/", std::string(64, digit), ".part"));
    EXPECT_TRUE(WriteFileAtomically(path, std::string(100, 'p')).ok());
    const absl::Time written = Clock::Real().Now() - absl::Hours(hours_ago);
    const timespec times[2] = {{0, UTIME_NOW}, absl::ToTimespec(written)};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return path;
  };
  const std::string left = add_part('a', 8);
  const std::string fetched = add_part('b', 9);
  const std::string recent = add_part('c', 0);
  const auto fetching = FileLock::Acquire(
      Path(absl::StrCat("cache/", std::string(64, 'b'), ".lock")));
  ASSERT_TRUE(fetching.ok()) << fetching.status();
  DatasetCache cache(dir_, coordinator_, /*max_bytes=*/300, absl::Hours(1));
  ASSERT_TRUE(cache.Get(dataset, control_).ok());
  EXPECT_FALSE(FileExists(left));
  EXPECT_TRUE(FileExists(fetched)) << "another daemon fetches it";
  EXPECT_TRUE(FileExists(recent));
}

TEST_F(DatasetCacheTest, AFileThatDoesNotFitOnTheDiskLeavesNoPart) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  const std::string part = Path("cache/" + dataset.digest() + ".part");
  coordinator_.SetFault([&part](const std::string&) {
    EXPECT_TRUE(WriteFileAtomically(part, "byt").ok());
    return absl::ResourceExhaustedError("No space left on device");
  });
  DatasetCache cache(dir_, coordinator_);
  EXPECT_EQ(cache.Get(dataset, control_).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(FileExists(part));
}

// To go on where it broke off.
TEST_F(DatasetCacheTest, AFetchThatWasStoppedKeepsItsPart) {
  const v1::ArtifactRef dataset = coordinator_.Store("bytes", "d");
  const std::string part = Path("cache/" + dataset.digest() + ".part");
  coordinator_.SetFault([&](const std::string&) {
    EXPECT_TRUE(WriteFileAtomically(part, "byt").ok());
    control_.Stop(StopReason::kDrain);
    return absl::UnavailableError("away");
  });
  DatasetCache cache(dir_, coordinator_);
  EXPECT_EQ(cache.Get(dataset, control_).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_TRUE(FileExists(part));
}

TEST_F(DatasetCacheTest, RefusesADigestThatIsNoFileName) {
  v1::ArtifactRef dataset;
  dataset.set_digest("../../etc/passwd");
  DatasetCache cache(dir_, coordinator_);
  EXPECT_EQ(cache.Get(dataset, control_).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(*ListDirectory(dir_), IsEmpty());
}

}  // namespace
}  // namespace foldfarm
