#include "coordinator/cli/help_format.h"

#include <sstream>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/cli.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

std::string HelpOf(std::vector<std::string> arguments) {
  arguments.push_back("--help");
  std::ostringstream out;
  std::ostringstream err;
  Console console;
  console.out = &out;
  console.err = &err;
  EXPECT_EQ(RunCli(arguments, console), 0)
      << absl::StrJoin(arguments, " ") << ": " << err.str();
  return out.str();
}

TEST(HelpTest, EveryCommandHasHelpWithAnExample) {
  const std::vector<std::string> commands = absl::StrSplit(
      "demo,run,dataset synth,dataset import,dataset list,dataset show,weights "
      "import,weights list,submit,sweeps,status,jobs,job,watch,logs,metrics,"
      "workers,ensemble,oof,render,export,options,completion,cancel,retry",
      ',');
  for (const std::string& command : commands) {
    const std::string help = HelpOf(absl::StrSplit(command, ' '));
    EXPECT_THAT(help, HasSubstr("Usage: foldfarm " + command));
    EXPECT_THAT(help, HasSubstr("Example:\n  foldfarm ")) << command;
  }
}

TEST(HelpTest, HelpFitsIntoEightyColumns) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{
           {}, {"submit"}, {"retry"}, {"predict"}, {"dataset", "import"}}) {
    const std::string help = HelpOf(command);
    const std::string options = help.substr(0, help.find("\nExample"));
    EXPECT_THAT(options, HasSubstr("Options:"));
    for (absl::string_view line : absl::StrSplit(options, '\n')) {
      EXPECT_LE(line.size(), 80u) << line;
    }
  }
  EXPECT_THAT(HelpOf({}),
              HasSubstr("\n  retry                       Make failed and "
                        "cancelled jobs"));
}

}  // namespace
}  // namespace foldfarm
