// What a prepared dataset says of itself.
#include "common/spectra/prepared_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "common/spectra/prepare.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

TEST(DatasetHeaderTest, ALabelThatIsThereTwiceIsRefused) {
  std::map<std::string, std::string> metadata = {
      {"format", "foldfarm-prepared"},
      {"format_version", kPreparationVersion},
      {"labels", R"(["clay", "salt"])"},
      {"samples", "[]"}};
  const auto header = ParseDatasetHeader(metadata, "made");
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_THAT(header->labels, ElementsAre("clay", "salt"));
  metadata["labels"] = R"(["clay", "salt", "clay"])";
  const absl::Status twice = ParseDatasetHeader(metadata, "made").status();
  EXPECT_EQ(twice.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(twice.message()),
            "made: not a valid prepared dataset: label twice: clay");
}

}  // namespace
}  // namespace foldfarm
