#include "coordinator/cli/live_area.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/terminal.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A picture on a screen of 20 x 6; the terminal's driver would turn line feeds
// into line breaks.
class LiveAreaTest : public testing::Test {
 protected:
  void Show() {
    const std::string text = out_.str();
    out_.str("");
    std::string cooked;
    for (const char c : text) {
      if (c == '\n') cooked += '\r';
      cooked += c;
    }
    screen_.Write(cooked);
  }
  std::ostringstream out_;
  Screen screen_{20, 6};
};

TEST_F(LiveAreaTest, AnInlinePictureIsReplacedAndWhatWasBeforeStays) {
  LiveArea area(out_);
  out_ << "before\n";
  area.Draw({"one", "two"}, 20);
  Show();
  EXPECT_FALSE(screen_.cursor_visible());
  area.Draw({"three"}, 20);
  Show();
  EXPECT_THAT(screen_.Rows(), ElementsAre("before", "three"));
  area.Leave();
  out_ << "after\n";
  Show();
  EXPECT_TRUE(screen_.cursor_visible());
  EXPECT_THAT(screen_.Rows(), ElementsAre("before", "three", "after"));
}

TEST_F(LiveAreaTest, NothingIsWipedBeforeItIsDrawnAnew) {
  LiveArea area(out_);
  area.Draw({"one", "two"}, 20);
  out_.str("");
  area.Draw({"one", "2"}, 20);
  // Up, over the old lines, and only then away with what is left.
  EXPECT_EQ(out_.str(),
            "\033[?2026h\r\033[2Aone\033[K\n2\033[K\n\033[J\033[?2026l");
}

TEST_F(LiveAreaTest, CountsLinesThatANarrowerTerminalWrapped) {
  LiveArea area(out_);
  area.Draw({std::string(60, 'x'), "two"}, 80);
  out_.str("");
  area.Draw({"three"}, 40);  // The first line takes two rows now.
  EXPECT_THAT(out_.str(), HasSubstr("\r\033[3Athree"));
}

TEST_F(LiveAreaTest, ClearMakesRoomForLinesAboveThePicture) {
  LiveArea area(out_);
  area.Draw({"one"}, 20);
  area.Clear(20);
  area.Clear(20);
  out_ << "said\n";
  area.Draw({"two"}, 20);
  Show();
  EXPECT_THAT(screen_.Rows(), ElementsAre("said", "two"));
}

TEST_F(LiveAreaTest, AFullScreenHidesWhatWasBeforeAndGivesItBack) {
  LiveArea area(out_, LiveArea::Mode::kFullScreen);
  out_ << "before\n";
  area.Draw({"1", "2", "3", "4", "5", "6"}, 20);
  Show();
  EXPECT_TRUE(screen_.on_second_screen());
  EXPECT_THAT(screen_.Rows(), ElementsAre("1", "2", "3", "4", "5", "6"));
  area.Draw({"a", "b"}, 20);
  Show();
  EXPECT_THAT(screen_.Rows(), ElementsAre("a", "b"));
  area.Leave({"last", "picture"});
  Show();
  EXPECT_FALSE(screen_.on_second_screen());
  EXPECT_TRUE(screen_.cursor_visible());
  EXPECT_THAT(screen_.Rows(), ElementsAre("before", "last", "picture"));
}

TEST_F(LiveAreaTest, TheEndOfItsLifeGivesTheTerminalBack) {
  {
    LiveArea area(out_, LiveArea::Mode::kFullScreen);
    area.Draw({"a"}, 20);
  }
  Show();
  EXPECT_FALSE(screen_.on_second_screen());
  EXPECT_TRUE(screen_.cursor_visible());
  EXPECT_THAT(screen_.Rows(), ElementsAre("a"));
}

TEST_F(LiveAreaTest, WhoNeverDrewWritesNothing) {
  { LiveArea area(out_); }
  EXPECT_THAT(out_.str(), IsEmpty());
}

}  // namespace
}  // namespace foldfarm
