// What the command says of a coordinator that does not answer, or has no
// address. The texts are gRPC's own, of such connections.
#include "coordinator/cli/farm_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"
#include "coordinator/cli/cli.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Explained(const std::string& address, const absl::Status& failed) {
  const absl::Status status = FarmClient(address).Explain(failed);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_FALSE(IsAnswer(status)) << status;
  return std::string(status.message());
}

absl::Status Unconnected(const std::string& why) {
  return absl::UnavailableError(
      "failed to connect to all addresses; last error: UNKNOWN: "
      "ipv4:127.0.0.1:7077: " +
      why);
}

TEST(FarmClientTest, OnlyOnThisMachineACoordinatorIsToBeStarted) {
  for (const char* address : {"127.0.0.1:7077", "localhost:7", "[::1]:7077"}) {
    EXPECT_THAT(Explained(address, Unconnected("Connection refused")),
                AllOf(HasSubstr("(Connection refused); start one with\n    "
                                "foldfarm-coordinator --dir DIR --listen " +
                                std::string(address) + "\n"),
                      HasSubstr("FOLDFARM_COORDINATOR")));
  }
  EXPECT_THAT(
      Explained("head:7077", Unconnected("Connection refused")),
      AllOf(StartsWith("no coordinator answers at head:7077 (Connection "
                       "refused); is it running there, and is the port open?"),
            HasSubstr("FOLDFARM_COORDINATOR"), Not(HasSubstr("--dir"))));
}

TEST(FarmClientTest, AHostThatNobodyKnowsIsDoubted) {
  EXPECT_THAT(
      Explained("haed:7077",
                absl::UnavailableError(
                    "DNS resolution failed for haed:7077: C-ares status is not "
                    "ARES_SUCCESS qtype=AAAA name=haed is_balancer=0: Domain "
                    "name not found")),
      StartsWith("no coordinator answers at haed:7077 (Domain name not found); "
                 "is that the host's name? "));
}

TEST(FarmClientTest, APageIsCalledOne) {
  for (const char* why : {"Trying to connect an http1.x server",
                          "Cannot check peer: missing selected ALPN "
                          "property."}) {
    EXPECT_EQ(Explained("127.0.0.1:7078", Unconnected(why)),
              "no coordinator answers at 127.0.0.1:7078: that is a web server; "
              "is it the port of --http?");
  }
}

TEST(FarmClientTest, AnotherProgramsAnswerIsNoCoordinators) {
  EXPECT_THAT(
      Explained("head:443", absl::UnimplementedError(
                                "Received http2 header with status: 404")),
      AllOf(StartsWith("no coordinator answers at head:443: another program "
                       "does (HTTP status 404); name the coordinator with"),
            HasSubstr("FOLDFARM_COORDINATOR")));
}

// The exit status and what stands on stderr.
std::pair<int, std::string> RunLine(const std::vector<std::string>& words) {
  std::ostringstream out, err;
  Console console;
  console.out = &out;
  console.err = &err;
  const int exit_status = RunCli(words, console);
  EXPECT_EQ(out.str(), "");
  return {exit_status, err.str()};
}

TEST(CoordinatorAddressTest, WhatIsNoneIsWrongUsageAndSaysWhereItStands) {
  constexpr char kExpected[] = "expected HOST:PORT, e.g. 127.0.0.1:7077\n";
  for (const std::string address :
       {"foo", ":17077", "http://127.0.0.1:17078"}) {
    const std::pair<int, std::string> wrong = {
        2, "error: --coordinator: got \"" + address + "\", " + kExpected +
               "See foldfarm sweeps --help.\n"};
    EXPECT_EQ(RunLine({"sweeps", "--coordinator", address}), wrong);
    EXPECT_EQ(RunLine({"--coordinator=" + address, "sweeps"}), wrong);
  }
  const char* former = std::getenv("FOLDFARM_COORDINATOR");
  const std::string kept = former == nullptr ? "" : former;
  setenv("FOLDFARM_COORDINATOR", "head", 1);
  const auto [exit_status, err] = RunLine({"sweeps"});
  EXPECT_EQ(exit_status, 1);
  EXPECT_THAT(err, StartsWith(std::string("error: FOLDFARM_COORDINATOR: got "
                                          "\"head\", ") +
                              kExpected));
  if (former == nullptr) {
    unsetenv("FOLDFARM_COORDINATOR");
  } else {
    setenv("FOLDFARM_COORDINATOR", kept.c_str(), 1);
  }
}

TEST(FarmClientTest, AWaitLooksTenTimesASecondWhetherItIsCancelled) {
  FakeClock clock;
  FarmClient client("127.0.0.1:1");
  int looks = 0;
  EXPECT_TRUE(client.WaitToTryAgain(clock, absl::Milliseconds(500), [&] {
    ++looks;
    clock.Advance(absl::Milliseconds(100));
    return false;
  }));
  EXPECT_EQ(looks, 5);
  EXPECT_FALSE(client.WaitToTryAgain(clock, absl::Hours(1),
                                     [&] { return ++looks == 7; }));
  EXPECT_EQ(looks, 7);
}

TEST(FarmClientTest, WhatACoordinatorSaysStaysAsItIs) {
  const absl::Status said = absl::NotFoundError("no sweep s9");
  EXPECT_EQ(FarmClient("127.0.0.1:7077").Explain(said), said);
}

}  // namespace
}  // namespace foldfarm
