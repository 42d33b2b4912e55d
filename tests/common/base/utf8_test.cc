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

TEST(CleanTextTest, KeepsUtf8AndReplacesTheRest) {
  EXPECT_EQ(CleanText("m/z 44 \xc2\xb5g\t\xe2\x82\xac \xf0\x9f\x9a\x80", 100),
            "m/z 44 \xc2\xb5g\t\xe2\x82\xac \xf0\x9f\x9a\x80");
  EXPECT_EQ(CleanText("a\xff\xc3(\x1b[0m\xed\xa0\x80\xc0\xaf", 100),
            "a\?\?(\?[0m\?\?\?\?\?");
  EXPECT_EQ(CleanText("abc", 2), "ab");
  EXPECT_EQ(CleanText("a\xe2\x82\xac", 3), "a") << "no half characters";
  EXPECT_EQ(CleanText("\x82\x82", 1), "?");
}

TEST(CleanTextTest, LeavesNothingThatATerminalObeys) {
  for (int code = 0; code < 0x20; ++code) {
    const std::string text(1, static_cast<char>(code));
    EXPECT_EQ(CleanText(text, 9), code == '\t' ? "\t" : "?") << code;
    EXPECT_EQ(IsClean(text), code == '\t') << code;
  }
  EXPECT_EQ(CleanText("\x7f", 9), "?");
  // CSI is U+009B, OSC is U+009D.
  for (int tail = 0x80; tail < 0xC0; ++tail) {
    const std::string text = {'a', '\xC2', static_cast<char>(tail), 'b'};
    EXPECT_EQ(CleanText(text, 9), tail < 0xA0 ? "a\?\?b" : text) << tail;
    EXPECT_EQ(IsClean(text), tail >= 0xA0) << tail;
  }
  // The same bytes within other characters are none.
  const std::string letters = "\xc3\x9b\xe2\x82\x9b\xf0\x9f\x92\x9b";
  EXPECT_EQ(CleanText(letters, 99), letters);
}

TEST(CleanTextTest, CleanTextStaysWhereItIs) {
  std::string text(1000, 'a');
  const char* const bytes = text.data();
  MakeClean(text, 2000);
  EXPECT_EQ(text, std::string(1000, 'a'));
  EXPECT_EQ(text.data(), bytes);
  MakeClean(text, 10);
  EXPECT_EQ(text, std::string(10, 'a'));
}

}  // namespace
}  // namespace foldfarm
