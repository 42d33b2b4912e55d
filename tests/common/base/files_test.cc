#include "common/base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "common/base/subprocess.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  FilesTest() : directory_(*MakeTemporaryDirectory("files_test")) {}
  ~FilesTest() override { EXPECT_TRUE(RemoveRecursively(directory_).ok()); }

  std::string Path(const std::string& name) const {
    return JoinPath(directory_, name);
  }

  const std::string directory_;
};

TEST_F(FilesTest, WhatIsWrittenIsReadBackWhole) {
  const std::string data("a\0b\n", 4);
  ASSERT_TRUE(WriteFileDurably(Path("f"), data).ok());
  EXPECT_EQ(*ReadFile(Path("f")), data);
  const std::string large(5'000'000, 'x');
  ASSERT_TRUE(WriteFileAtomically(Path("f"), large).ok());
  EXPECT_EQ(*ReadFile(Path("f")), large);
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("f"));
}

TEST_F(FilesTest, FilesThatDoNotSayTheirSizeAreReadWhole) {
  // The kernel says 0 bytes for it.
  EXPECT_THAT(*ReadFile("/proc/self/status"), HasSubstr("VmRSS"));
}

TEST_F(FilesTest, ErrorsNameFileAndReason) {
  const absl::Status gone = ReadFile(Path("gone")).status();
  EXPECT_TRUE(absl::IsNotFound(gone));
  EXPECT_EQ(gone.message(), directory_ +
                                "/gone: cannot open: No such file or "
                                "directory");
  EXPECT_FALSE(ReadFile(directory_).ok());
  EXPECT_TRUE(absl::IsNotFound(WriteFileDurably(Path("no/f"), "x")));
  EXPECT_TRUE(absl::IsNotFound(ListDirectory(Path("no")).status()));
  EXPECT_TRUE(absl::IsNotFound(FileSize(Path("no")).status()));
}

// Runs `body` with files limited to `bytes`, so that a write fails midway.
template <typename Body>
void WithFileSizeLimit(rlim_t bytes, Body body) {
  rlimit former;
  getrlimit(RLIMIT_FSIZE, &former);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limited = former;
  limited.rlim_cur = bytes;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  body();
  setrlimit(RLIMIT_FSIZE, &former);
  std::signal(SIGXFSZ, handler);
}

TEST_F(FilesTest, AWriteThatFailsMidwayLeavesTheFormerFileAndNoRest) {
  ASSERT_TRUE(WriteFileDurably(Path("f"), "former").ok());
  WithFileSizeLimit(1000, [&] {
    const absl::Status status =
        WriteFileDurably(Path("f"), std::string(5000, 'x'));
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot write"));
  });
  EXPECT_EQ(*ReadFile(Path("f")), "former");
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("f"));
}

TEST_F(FilesTest, APublishedFileTakesItsNewName) {
  ASSERT_TRUE(WriteFileAtomically(Path("f.part"), "new").ok());
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "old").ok());
  ASSERT_TRUE(PublishFile(Path("f.part"), Path("f")).ok());
  EXPECT_EQ(*ReadFile(Path("f")), "new");
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("f"));
  EXPECT_TRUE(absl::IsNotFound(PublishFile(Path("no"), Path("f"))));
}

TEST_F(FilesTest, FoldersAreMadeListedAndRemoved) {
  ASSERT_TRUE(MakeDirectories(Path("a/b/c")).ok());
  ASSERT_TRUE(MakeDirectories(Path("a/b/c")).ok());
  EXPECT_TRUE(IsDirectory(Path("a/b/c")));
  ASSERT_TRUE(WriteFileAtomically(Path("z"), "").ok());
  EXPECT_FALSE(IsDirectory(Path("z")));
  EXPECT_FALSE(MakeDirectories(Path("z/y")).ok());
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("a", "z"));
  ASSERT_TRUE(RemoveRecursively(Path("a")).ok());
  EXPECT_FALSE(FileExists(Path("a")));
  EXPECT_TRUE(RemoveRecursively(Path("a")).ok());
}

TEST_F(FilesTest, FoldersThatNobodyMayChangeAreRemovedAllTheSame) {
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  // Root may change anything.
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setuid(kNobody) != 0) _exit(2);
    const std::string inner = Path("a/b");
    if (!MakeDirectories(inner).ok() ||
        !WriteFileAtomically(JoinPath(inner, "f"), "x").ok() ||
        chmod(inner.c_str(), 0555) != 0 ||
        chmod(Path("a").c_str(), 0500) != 0) {
      _exit(3);
    }
    _exit(RemoveRecursively(Path("a")).ok() ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 3) {
    GTEST_SKIP() << "user 65534 cannot write in " << directory_;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_FALSE(FileExists(Path("a")));
}

TEST_F(FilesTest, AnAppendFileGoesOnAtItsEndAndCanBeCut) {
  {
    auto file = AppendFile::Open(Path("log"));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append("hello ").ok());
    ASSERT_TRUE((*file)->Append("world").ok());
    ASSERT_TRUE((*file)->Sync().ok());
    EXPECT_EQ((*file)->size(), 11);
  }
  auto file = AppendFile::Open(Path("log"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), 11);
  ASSERT_TRUE((*file)->Truncate(5).ok());
  ASSERT_TRUE((*file)->Append("!").ok());
  EXPECT_EQ((*file)->size(), 6);
  EXPECT_EQ(*ReadFile(Path("log")), "hello!");
}

TEST_F(FilesTest, ALockHasOneHolderAndNamesIt) {
  auto held = FileLock::Acquire(Path("lock"));
  ASSERT_TRUE(held.ok()) << held.status();
  const auto second = FileLock::Acquire(Path("lock"));
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("(pid " + std::to_string(getpid()) + ")"));
  held->reset();
  EXPECT_TRUE(FileLock::Acquire(Path("lock")).ok());
}

TEST_F(FilesTest, ALockIsNotInheritedByChildren) {
  auto held = FileLock::Acquire(Path("lock"));
  ASSERT_TRUE(held.ok());
  auto child = Subprocess::Spawn({.argv = {"sleep", "600"}});
  ASSERT_TRUE(child.ok()) << child.status();
  held->reset();
  EXPECT_TRUE(FileLock::Acquire(Path("lock")).ok());
}

TEST(PathTest, PartsAreJoinedAndTakenApart) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("a", "/b"), "/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("c"), ".");
  EXPECT_EQ(DirectoryOf("/c"), "/");
  EXPECT_EQ(BaseName("a/b/c"), "c");
  EXPECT_EQ(BaseName("c"), "c");
}

}  // namespace
}  // namespace foldfarm
