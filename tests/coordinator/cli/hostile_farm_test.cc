// What a coordinator that means harm makes the command write: nothing outside
// the folder that a person named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "coordinator/cli/inside_folder.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string>& HostileNames() {
  static const auto& names =
      *new std::vector<std::string>{"../x",      "/etc/foldfarm-hostile",
                                    "a/../../b", "..",
                                    ".",         "a/./../b",
                                    "",          "a//b",
                                    "\n",        "..\\x"};
  return names;
}

class HostileFarmTest : public ScriptedFarmTest {
 protected:
  void SetUp() override {
    ScriptedFarmTest::SetUp();
    ASSERT_TRUE(MakeDirectories(Path("home/out")).ok());
    ASSERT_TRUE(MakeDirectories(Path("outside")).ok());
    Write("outside/precious", "precious");
    store_.stored[Sha256Hex(weights_)] = weights_;
  }

  // One finished job of a model of this name.
  void OnlyJob(const std::string& model) {
    farm_.jobs.clear();
    farm_.AddJob(model, 0, v1::Job::SUCCEEDED,
                 {{"weights.safetensors", weights_}});
    farm_.spec.clear_models();
    farm_.spec.add_models()->set_name(model);
  }

  // All there is but in home/out, w.safetensors and the untouched file.
  std::vector<std::string> Escaped() const {
    std::vector<std::string> found;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(directory_)) {
      const std::string path = entry.path().string();
      if (path.rfind(Path("home/out"), 0) == 0 || path == Path("home") ||
          path == Path("outside") || path == Path("w.safetensors")) {
        continue;
      }
      if (path == Path("outside/precious")) {
        EXPECT_EQ(ReadFile(path).value_or(""), "precious");
        continue;
      }
      found.push_back(path);
    }
    return found;
  }

  Outcome Export(const std::string& format = "safetensors") {
    return Run({"export", "s1", "--to", format, "--out", Path("home/out")});
  }
  Outcome Backup() {
    return Run({"backup", "--out", Path("home/out/farm.db"), "--artifacts",
                Path("home/out/artifacts")});
  }
};

TEST_F(HostileFarmTest, NamesOfModelsLeadNowhere) {
  for (const std::string& name : HostileNames()) {
    OnlyJob(name);
    const Outcome outcome = Export();
    EXPECT_EQ(outcome.exit_status, 1) << name;
    EXPECT_THAT(outcome.err, HasSubstr("stays inside of")) << name;
    EXPECT_TRUE(Escaped().empty()) << name << " made " << Escaped()[0];
    EXPECT_FALSE(FileExists("/etc/foldfarm-hostile"));
  }
}

TEST_F(HostileFarmTest, NamesOfArtifactsLeadNowhere) {
  OnlyJob("gru");
  for (const std::string& name : HostileNames()) {
    farm_.jobs[0].mutable_artifacts(0)->set_name(name);
    Export();
    EXPECT_TRUE(Escaped().empty()) << name << " made " << Escaped()[0];
    EXPECT_FALSE(FileExists("/etc/foldfarm-hostile"));
  }
}

TEST_F(HostileFarmTest, DigestsLeadNowhere) {
  OnlyJob("gru");
  for (const std::string& digest : HostileNames()) {
    farm_.jobs[0].mutable_artifacts(0)->set_digest(digest);
    for (const Outcome& outcome : {Export(), Backup()}) {
      EXPECT_EQ(outcome.exit_status, 1) << digest;
      EXPECT_THAT(outcome.err, HasSubstr("expected a SHA-256")) << digest;
    }
    EXPECT_TRUE(Escaped().empty()) << digest << " made " << Escaped()[0];
    EXPECT_FALSE(FileExists("/etc/foldfarm-hostile"));
  }
}

TEST_F(HostileFarmTest, LinksInTheFolderAreNotFollowedOut) {
  OnlyJob("gru");
  const std::string digest = Sha256Hex(weights_);
  // A folder that is a link.
  ASSERT_EQ(symlink(Path("outside").c_str(), Path("home/out/gru").c_str()), 0);
  ASSERT_TRUE(MakeDirectories(Path("home/out/artifacts")).ok());
  ASSERT_EQ(
      symlink(Path("outside").c_str(),
              Path(absl::StrCat("home/out/artifacts/", digest.substr(0, 2)))
                  .c_str()),
      0);
  for (const Outcome& outcome : {Export(), Backup()}) {
    EXPECT_EQ(outcome.exit_status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("is a symbolic link"));
  }
  EXPECT_TRUE(Escaped().empty()) << Escaped()[0];

  // A file that is one: the link is replaced, not what it points at.
  ASSERT_EQ(unlink(Path("home/out/gru").c_str()), 0);
  ASSERT_TRUE(MakeDirectories(Path("home/out/gru")).ok());
  const std::string file = Path("home/out/gru/0.safetensors");
  ASSERT_EQ(symlink(Path("outside/precious").c_str(), file.c_str()), 0);
  const std::string index = Path("home/out/index.json");
  ASSERT_EQ(symlink(Path("outside/precious").c_str(), index.c_str()), 0);
  EXPECT_EQ(Export().exit_status, 0);
  EXPECT_EQ(ReadFile(file).value(), weights_);
  EXPECT_TRUE(Escaped().empty()) << Escaped()[0];

  // What grows while it is fetched.
  ASSERT_EQ(unlink(file.c_str()), 0);
  ASSERT_EQ(symlink(Path("outside/precious").c_str(),
                    absl::StrCat(file, ".part").c_str()),
            0);
  const Outcome outcome = Export();
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("is a symbolic link"));
  EXPECT_TRUE(Escaped().empty()) << Escaped()[0];
}

TEST_F(HostileFarmTest, APlaceInsideIsMadeOfPlainNames) {
  const std::string folder = Path("home/out");
  for (const std::string& name : HostileNames()) {
    const auto place = MakePlaceInside(folder, name);
    EXPECT_EQ(place.status().code(), absl::StatusCode::kInvalidArgument)
        << name;
  }
  const auto place = MakePlaceInside(folder, "a/b/c.txt");
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(*place, Path("home/out/a/b/c.txt"));
  EXPECT_TRUE(IsDirectory(Path("home/out/a/b")));
  Write("home/out/file", "");
  EXPECT_EQ(MakePlaceInside(folder, "file/x").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace foldfarm
