#include "worker/agent/trainer_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Kind = TrainerEvent::Kind;

TrainerEvent Parsed(const std::string& line) {
  const auto event = ParseTrainerEvent(line);
  EXPECT_TRUE(event.ok()) << event.status();
  return event.value_or(TrainerEvent());
}

TEST(TrainerEventTest, ReadsEveryKindOfTheContract) {
  TrainerEvent event = Parsed(
      R"({"event":"started","epochs":9,"resumed_epoch":4,"device":"cuda:1"})");
  EXPECT_EQ(event.kind, Kind::kStarted);
  EXPECT_EQ(event.epochs_total, 9);
  EXPECT_EQ(event.resumed_epoch, 4);
  EXPECT_EQ(event.device, "cuda:1");

  event = Parsed(
      R"({"event":"epoch","epoch":3,"metrics":{"lr":1e-3,"loss":2,"x":null}})");
  EXPECT_EQ(event.kind, Kind::kEpoch);
  EXPECT_EQ(event.epoch, 3);
  EXPECT_THAT(event.metrics,
              UnorderedElementsAre(Pair("lr", 1e-3), Pair("loss", 2.0)));

  event =
      Parsed(R"({"event":"checkpoint","epoch":12,"path":"checkpoint-000012"})");
  EXPECT_EQ(event.kind, Kind::kCheckpoint);
  EXPECT_EQ(event.path, "checkpoint-000012");

  event = Parsed(R"({"event":"log","level":"shout","message":"hi"})");
  EXPECT_EQ(event.level, "info");
  EXPECT_EQ(event.message, "hi");

  event = Parsed(
      R"({"event":"finished","files":["a.safetensors"],"metrics":{"m":1}})");
  EXPECT_THAT(event.files, ElementsAre("a.safetensors"));

  event = Parsed(R"({"event":"failed","code":"INTERNAL","message":"why"})");
  EXPECT_EQ(event.kind, Kind::kFailed);
  EXPECT_EQ(event.code, "INTERNAL");
}

// Boosted trees leave a file a label.
TEST(TrainerEventTest, AResultMayHaveManyFilesButNotAnyNumber) {
  const auto finished = [](int files) {
    std::string line = R"({"event":"finished","files":[)";
    for (int i = 0; i < files; ++i) {
      absl::StrAppend(&line, i == 0 ? "" : ",", "\"model-__~", i, ".ubj\"");
    }
    return ParseTrainerEvent(line + R"(],"metrics":{}})");
  };
  const auto event = finished(kMaxResultFiles);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_THAT(event->files, ::testing::SizeIs(kMaxResultFiles));
  EXPECT_THAT(std::string(finished(kMaxResultFiles + 1).status().message()),
              HasSubstr("at most 256 names, got 257"));
}

struct BadLine {
  const char* name;
  const char* line;
  const char* complaint;
};

class BadTrainerEventTest : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadTrainerEventTest, IsRefusedWithWhatIsWrong) {
  const auto event = ParseTrainerEvent(GetParam().line);
  ASSERT_EQ(event.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(event.status().message()),
              HasSubstr(GetParam().complaint));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, BadTrainerEventTest,
    ::testing::Values(
        BadLine{"NotJson", "epoch 3", "not JSON"},
        BadLine{"NotAnObject", "[1]", "expected a JSON object"},
        BadLine{"NoKind", "{}", "event is \"\""},
        BadLine{"KindOfWrongType", R"({"event":7})", "string \"event\""},
        BadLine{"EpochAsText", R"({"event":"epoch","epoch":"3"})",
                "integer \"epoch\""},
        BadLine{"EpochZero", R"({"event":"epoch","epoch":0})",
                "\"epoch\" is 0, expected 1 to 1000000"},
        BadLine{"EpochTooLarge",
                R"({"event":"epoch","epoch":99999999999999999999})",
                "\"epoch\""},
        BadLine{"MetricAsText",
                R"({"event":"epoch","epoch":1,"metrics":{"a":"b"}})",
                "metric \"a\" is not a finite number"},
        BadLine{"MetricTooLarge",
                R"({"event":"epoch","epoch":1,"metrics":{"a":1e999}})",
                "not JSON"},
        BadLine{"PathUpwards",
                R"({"event":"checkpoint","epoch":1,"path":"../x"})",
                "not a plain name"},
        BadLine{"NoPath", R"({"event":"checkpoint","epoch":1})",
                "not a plain name"},
        BadLine{"AbsoluteFile", R"({"event":"finished","files":["/etc/x"]})",
                "not a plain name"},
        BadLine{"BadUtf8", "{\"event\":\"log\",\"message\":\"\xff\"}",
                "not JSON"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(LineSplitterTest, CutsLongLinesAndDeliversALastOneWithoutEnd) {
  std::vector<std::pair<std::string, bool>> lines;
  LineSplitter splitter(4, [&](absl::string_view line, bool cut) {
    lines.emplace_back(line, cut);
  });
  splitter.Append("ab");
  splitter.Append("c\r\n\nabcd");
  splitter.Append("efgh\nxy");
  splitter.Finish();
  EXPECT_THAT(lines, ElementsAre(Pair("abc", false), Pair("", false),
                                 Pair("abcd", true), Pair("xy", false)));
}

}  // namespace
}  // namespace foldfarm
