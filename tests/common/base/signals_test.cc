#include "common/base/signals.h"

#include <gtest/gtest.h>

namespace foldfarm {
namespace {

TEST(AddUnlessIgnoredTest, TakesWhatTheProcessWasNotStartedToIgnore) {
  sigset_t signals;
  sigemptyset(&signals);
  const auto former = signal(SIGHUP, SIG_IGN);
  AddUnlessIgnored(SIGHUP, signals);
  signal(SIGHUP, former);
  EXPECT_EQ(sigismember(&signals, SIGHUP), 0);
  AddUnlessIgnored(SIGUSR2, signals);
  EXPECT_EQ(sigismember(&signals, SIGUSR2), 1);
}

}  // namespace
}  // namespace foldfarm
