#include "common/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace foldfarm {
namespace {

TEST(Utf8Test, TellsTheLengthOfACharacter) {
  EXPECT_EQ(Utf8Length("ab"), 1u);
  EXPECT_EQ(Utf8Length("\xC3\xA9t\xC3\xA9"), 2u);
  EXPECT_EQ(Utf8Length("\xE2\x82\xAC"), 3u);
  EXPECT_EQ(Utf8Length("\xF0\x9F\x94\xA5"), 4u);
  EXPECT_EQ(Utf8Length(absl::string_view("\0", 1)), 1u);
}

TEST(Utf8Test, KnowsWhatIsNone) {
  EXPECT_EQ(Utf8Length(""), 0u);
  for (const char* wrong : {
           "\x80",              // A tail without a head.
           "\xC3",              // Cut short...
           "\xE2\x82",          // ...
           "\xC3(",             // or gone on wrongly.
           "\xC0\xAF",          // Overlong '/'...
           "\xE0\x80\xAF",      // ...
           "\xF0\x80\x80\xAF",  // ...
           "\xED\xA0\x80",      // A surrogate.
           "\xF4\x90\x80\x80",  // Beyond U+10FFFF.
           "\xFF",
       }) {
    EXPECT_EQ(Utf8Length(wrong), 0u);
    EXPECT_FALSE(IsUtf8(std::string("ab") + wrong));
  }
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("m/z 44 \xE2\x86\x92 CO\xE2\x82\x82"));
}

TEST(Utf8Test, CutsBetweenCharacters) {
  const std::string text = "ab\xE2\x82\xAC";
  EXPECT_EQ(ClipUtf8(text, 9), text);
  EXPECT_EQ(ClipUtf8(text, 5), text);
  EXPECT_EQ(ClipUtf8(text, 4), "ab");
  EXPECT_EQ(ClipUtf8(text, 3), "ab");
  EXPECT_EQ(ClipUtf8(text, 2), "ab");
  EXPECT_EQ(ClipUtf8(text, 1), "a");
  EXPECT_EQ(ClipUtf8("\x82\x82", 1), "");
}

}  // namespace
}  // namespace foldfarm
