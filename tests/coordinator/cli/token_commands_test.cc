// `foldfarm token new --add-to`: a line in the coordinator's file, if and only
// if somebody was shown the token.
#include "coordinator/cli/token_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/tokens.h"
#include "coordinator/cli/cli.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class TokenCommandsTest : public ::testing::Test {
 protected:
  TokenCommandsTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-token-")),
        tokens_(JoinPath(directory_, "tokens")) {}
  ~TokenCommandsTest() override { RemoveRecursively(directory_).IgnoreError(); }

  struct Outcome {
    int exit_status = 0;
    std::string err;
  };
  // The token goes to `out`.
  Outcome AddWorker(const std::string& name, std::ostream& out) {
    std::ostringstream err;
    Console console;
    console.out = &out;
    console.err = &err;
    const int exit_status = RunCli({"token", "new", "--role", "worker",
                                    "--name", name, "--add-to", tokens_},
                                   console);
    return {exit_status, err.str()};
  }

  // Nothing while there is none.
  std::string File() { return ReadFile(tokens_).value_or(""); }

  const std::string directory_;
  const std::string tokens_;
};

TEST_F(TokenCommandsTest, ALineStandsForTheTokenThatIsPrinted) {
  for (const char* name : {"gpu1", "gpu2"}) {
    std::ostringstream out;
    const Outcome outcome = AddWorker(name, out);
    EXPECT_EQ(outcome.exit_status, 0);
    EXPECT_THAT(outcome.err, HasSubstr("Added worker"));
    const auto known = ReadTokenFile(tokens_);
    ASSERT_TRUE(known.ok()) << known.status();
    EXPECT_EQ(known->back().name, name);
    EXPECT_EQ(known->back().sha256,
              Sha256Hex(absl::StripSuffix(out.str(), "\n")));
  }
  EXPECT_THAT(*ReadTokenFile(tokens_), SizeIs(2));
}

TEST_F(TokenCommandsTest, ATokenThatCannotBePrintedIsNotAdded) {
  for (const char* name : {"gpu1", "gpu2"}) {
    const std::string before = File();
    std::ofstream full("/dev/full");
    ASSERT_TRUE(full.is_open());
    std::ofstream closed;
    for (std::ofstream* out : {&full, &closed}) {
      const Outcome outcome = AddWorker(name, *out);
      EXPECT_EQ(outcome.exit_status, 1);
      EXPECT_THAT(outcome.err, HasSubstr("error: the token cannot be printed"));
      EXPECT_EQ(File(), before);
      EXPECT_EQ(FileExists(tokens_), !before.empty());
    }
    std::ostringstream out;
    EXPECT_EQ(AddWorker(name, out).exit_status, 0);
  }
}

TEST_F(TokenCommandsTest, ThoseThatAddAtOnceLoseNoLine) {
  constexpr int kAtOnce = 8;
  std::vector<std::unique_ptr<Subprocess>> programs;
  for (int i = 0; i < kAtOnce; ++i) {
    SubprocessOptions options;
    options.argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm"),
                    "token",
                    "new",
                    "--role=worker",
                    absl::StrCat("--name=gpu", i),
                    absl::StrCat("--add-to=", tokens_)};
    auto program = Subprocess::Spawn(options);
    ASSERT_TRUE(program.ok()) << program.status();
    programs.push_back(*std::move(program));
  }
  size_t added = 0;
  for (const auto& program : programs) {
    if (program->Wait().exit_status == 0) ++added;
  }
  // Who was refused knows that.
  EXPECT_GE(added, 1u);
  EXPECT_THAT(*ReadTokenFile(tokens_), SizeIs(added));
  EXPECT_FALSE(FileExists(tokens_ + ".new"));
}

TEST_F(TokenCommandsTest, WhoAddsBesideAnotherIsRefused) {
  std::ofstream(tokens_ + ".new") << "half";
  std::ostringstream out;
  const Outcome outcome = AddWorker("gpu1", out);
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("somebody adds a token right now"));
  EXPECT_FALSE(FileExists(tokens_));
  EXPECT_TRUE(FileExists(tokens_ + ".new"));
}

TEST_F(TokenCommandsTest, NoTokenIsPrintedThatTheFileWouldNotTake) {
  std::ostringstream out;
  ASSERT_EQ(AddWorker("gpu1", out).exit_status, 0);
  const std::string before = File();
  std::ostringstream again;
  const Outcome outcome = AddWorker("gpu1", again);
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("has a token for worker gpu1"));
  EXPECT_EQ(again.str(), "");
  EXPECT_EQ(File(), before);
}

TEST_F(TokenCommandsTest, ANameThatIsNoneIsQuoted) {
  for (const char* name : {"x y", "", "x\ty"}) {
    std::ostringstream out;
    const Outcome outcome = AddWorker(name, out);
    EXPECT_EQ(outcome.exit_status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("error: --name is \""));
    EXPECT_THAT(outcome.err,
                HasSubstr("\", expected one word: a name has no spaces\n"));
    EXPECT_EQ(out.str(), "");
  }
  std::ostringstream out;
  EXPECT_THAT(AddWorker("x/y", out).err,
              HasSubstr("error: --name: name is \"x/y\", expected letters"));
  EXPECT_FALSE(FileExists(tokens_));
}

}  // namespace
}  // namespace foldfarm
