#include "common/base/option_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace foldfarm {
namespace {

TEST(OptionCheckTest, AcceptsWhatItSaysItExpects) {
  EXPECT_EQ(MoreThan(0)("0.001"), "");
  EXPECT_EQ(MoreThan(0)("1e30"), "");
  EXPECT_EQ(AtLeast(0)("0"), "");
  EXPECT_EQ(InRange(1, 1024)("1"), "");
  EXPECT_EQ(InRange(1, 1024)("1024"), "");
}

TEST(OptionCheckTest, QuotesWhatCameAndSaysWhatWasExpected) {
  EXPECT_EQ(MoreThan(0)("0"), "got 0, expected more than 0");
  EXPECT_EQ(AtLeast(0)("-1"), "got -1, expected at least 0");
  EXPECT_EQ(InRange(0.001, 1048576)("0"), "got 0, expected 0.001 to 1048576");
  EXPECT_EQ(InRange(1, 1000000)("1000001"),
            "got 1000001, expected 1 to 1000000");
  for (const char* word : {"x", "", "nan", "inf", "-inf", "1,5"}) {
    EXPECT_EQ(AtLeast(0)(word), "got \"" + std::string(word) +
                                    "\", expected a number, at least 0");
  }
}

RefusedCommandLine Refused() {
  return {.program = "prog",
          .options = {"--dir", "--slots"},
          .message = "--dir is required"};
}

TEST(ExplainCommandLineTest, TellsWhatIsWrongAndWhoHelps) {
  EXPECT_EQ(ExplainCommandLine(Refused()),
            "prog: --dir is required\nSee prog --help.\n");
}

TEST(ExplainCommandLineTest, AMistypedNameExplainsWhatIsMissing) {
  RefusedCommandLine refused = Refused();
  refused.unexpected = {"--dirr=x"};
  EXPECT_EQ(ExplainCommandLine(refused),
            "prog: unknown option \"--dirr\" (did you mean \"--dir\"?)\n"
            "See prog --help.\n");
  refused.unexpected = {"--colour", "2"};
  EXPECT_EQ(ExplainCommandLine(refused),
            "prog: unknown option \"--colour\"\nSee prog --help.\n");
}

TEST(ExplainCommandLineTest, AWordTooManyIsToldWhereNothingElseIsWrong) {
  RefusedCommandLine refused = Refused();
  refused.unexpected = {"word"};
  EXPECT_EQ(ExplainCommandLine(refused),
            "prog: --dir is required\nSee prog --help.\n");
  refused.is_of_unexpected = true;
  EXPECT_EQ(ExplainCommandLine(refused),
            "prog: unexpected \"word\"\nSee prog --help.\n");
}

}  // namespace
}  // namespace foldfarm
