#include "coordinator/cli/environment.h"

#include <map>

#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using Variables = std::map<std::string, std::string>;

struct Case {
  Variables variables;
  bool on_terminal;
  bool elsewhere;
};

TEST(WantsColourTest, FollowsTheConventions) {
  const Case cases[] = {
      {{{"TERM", "xterm"}}, true, false},
      {{}, false, false},
      {{{"TERM", "dumb"}}, false, false},
      {{{"TERM", "xterm"}, {"NO_COLOR", "1"}}, false, false},
      {{{"TERM", "xterm"}, {"NO_COLOR", ""}}, true, false},
      {{{"TERM", "xterm"}, {"FORCE_COLOR", "1"}}, true, true},
      {{{"TERM", "xterm"}, {"FORCE_COLOR", "0"}}, false, false},
      {{{"TERM", "dumb"}, {"CLICOLOR_FORCE", "1"}}, true, true},
      {{{"TERM", "xterm"}, {"CLICOLOR_FORCE", "0"}}, true, false},
      {{{"TERM", "xterm"}, {"CLICOLOR", "0"}}, false, false},
      {{{"TERM", "xterm"}, {"CLICOLOR", "1"}}, true, false},
      {{{"NO_COLOR", "1"}, {"FORCE_COLOR", "1"}}, false, false},
  };
  for (const Case& one : cases) {
    const auto environment = [&](const char* name) -> const char* {
      const auto it = one.variables.find(name);
      return it == one.variables.end() ? nullptr : it->second.c_str();
    };
    std::string text;
    for (const auto& [name, value] : one.variables) {
      text += name + "=" + value + " ";
    }
    EXPECT_EQ(WantsColour(true, environment), one.on_terminal) << text;
    EXPECT_EQ(WantsColour(false, environment), one.elsewhere) << text;
  }
}

bool IsUtf8In(const Variables& variables) {
  return IsUtf8([&](const char* name) -> const char* {
    const auto it = variables.find(name);
    return it == variables.end() ? nullptr : it->second.c_str();
  });
}

TEST(IsUtf8Test, TakesTheFirstVariableThatIsSet) {
  EXPECT_TRUE(IsUtf8In({{"LANG", "de_DE.UTF-8"}}));
  EXPECT_TRUE(IsUtf8In({{"LC_CTYPE", "C.utf8"}, {"LANG", "C"}}));
  EXPECT_FALSE(IsUtf8In({{"LC_ALL", "C"}, {"LANG", "en_US.UTF-8"}}));
  EXPECT_TRUE(IsUtf8In({{"LC_ALL", ""}, {"LANG", "en_US.UTF-8"}}));
  EXPECT_FALSE(IsUtf8In({}));
}

TEST(ToAsciiTest, KeepsTheWidthAndOtherText) {
  EXPECT_EQ(ToAscii("━━─ ✓▸·✗ ▁▂▃▄▅▆▇█ a…"), "##- +>.x _.,-=+*# a~");
  EXPECT_EQ(ToAscii("Müller"), "Müller");
}

}  // namespace
}  // namespace foldfarm
