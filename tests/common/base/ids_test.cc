#include "common/base/ids.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace foldfarm {
namespace {

TEST(IsValidNameTest, TakesWhatIsSafeInAPathAndInAJobsName) {
  for (const char* name : {"a", "130_gru", "131_gru_mix0.25", "A-Z.09", "_"}) {
    EXPECT_TRUE(IsValidName(name, 100)) << name;
  }
  for (const char* name :
       {"", ".", "..", ".hidden", "a/b", "a b", "a\n", "caf\xC3\xA9", "a:b"}) {
    EXPECT_FALSE(IsValidName(name, 100)) << name;
  }
  EXPECT_TRUE(IsValidName(std::string(64, 'a'), 64));
  EXPECT_FALSE(IsValidName(std::string(65, 'a'), 64));
}

TEST(LooksLikeSweepIdTest, OnlyWhatIsAnSAndANumber) {
  for (const char* id : {"s1", "s25", "s007"}) {
    EXPECT_TRUE(LooksLikeSweepId(id)) << id;
  }
  for (const char* name : {"", "s", "S1", "s1a", "s-1", "mars", "1"}) {
    EXPECT_FALSE(LooksLikeSweepId(name)) << name;
  }
}

TEST(NewRandomIdTest, IsHexAndNew) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(NewRandomId());
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(ids.begin()->size(), 32u);
}

TEST(DeriveSeedTest, IsFixedForEverAndDiffersInEveryPart) {
  // The first 32 bits of SHA-256("1/130_gru/0").
  const uint32_t seed = DeriveSeed(1, "130_gru", 0);
  EXPECT_EQ(seed, DeriveSeed(1, "130_gru", 0));
  EXPECT_NE(seed, DeriveSeed(2, "130_gru", 0));
  EXPECT_NE(seed, DeriveSeed(1, "131_gru", 0));
  EXPECT_NE(seed, DeriveSeed(1, "130_gru", 1));
  EXPECT_EQ(seed, 0x151eaf50u);
}

}  // namespace
}  // namespace foldfarm
