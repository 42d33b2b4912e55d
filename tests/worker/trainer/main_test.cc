// The program foldfarm-trainer, asked for what needs no attempt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

using ::testing::StartsWith;

// What it writes to standard output; fails unless its exit status is 0.
std::string OutputOf(const std::string& arguments) {
  FILE* pipe = popen(
      absl::StrCat("'", FOLDFARM_BIN_DIR, "/foldfarm-trainer' ", arguments)
          .c_str(),
      "r");
  if (pipe == nullptr) return "cannot start";
  std::string output;
  char bytes[4096];
  while (const size_t n = fread(bytes, 1, sizeof(bytes), pipe)) {
    output.append(bytes, n);
  }
  EXPECT_EQ(pclose(pipe), 0) << arguments;
  return output;
}

TEST(TrainerMainTest, EveryCommandTellsHowItIsUsed) {
  for (const char* command :
       {"", "attempt", "predict", "draw", "describe", "explain", "devices"}) {
    EXPECT_THAT(OutputOf(absl::StrCat(command, " --help")),
                StartsWith("Usage: foldfarm-trainer "));
  }
}

TEST(TrainerMainTest, ListsItsDevicesTheCpuFirst) {
  EXPECT_THAT(OutputOf("devices"), StartsWith("cpu\n"));
}

}  // namespace
}  // namespace foldfarm
