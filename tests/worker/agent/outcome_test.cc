#include "worker/agent/outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

enum class Word { kNone, kFinished, kFailed };

struct Case {
  const char* name;
  int exit_status;
  int signal;
  bool out_of_memory;
  Word word;
  StopReason reason;
  v1::Attempt::State outcome;
  v1::FailureKind kind;
  const char* error;
};

class OutcomeTest : public ::testing::TestWithParam<Case> {};

TEST_P(OutcomeTest, IsJudgedByExitStatusLastWordAndWhyItStopped) {
  const Case& c = GetParam();
  TrainerExit exit;
  exit.state.exit_status = c.exit_status;
  exit.state.signal = c.signal;
  exit.out_of_memory = c.out_of_memory;
  std::optional<TrainerEvent> word;
  if (c.word != Word::kNone) {
    word.emplace();
    word->kind = c.word == Word::kFinished ? TrainerEvent::Kind::kFinished
                                           : TrainerEvent::Kind::kFailed;
    word->code = "CODE";
    word->message = "its words";
  }
  const v1::FinishAttemptRequest request = JudgeExit(exit, word, c.reason);
  EXPECT_EQ(request.outcome(), c.outcome);
  EXPECT_EQ(request.failure_kind(), c.kind);
  EXPECT_EQ(request.exit_status(), c.exit_status);
  EXPECT_EQ(request.signal(), c.signal);
  if (*c.error == '\0') {
    EXPECT_EQ(request.error(), "");
  } else {
    EXPECT_THAT(request.error(), HasSubstr(c.error));
  }
}

constexpr v1::FailureKind kNoKind = v1::FAILURE_KIND_UNSPECIFIED;

INSTANTIATE_TEST_SUITE_P(
    Ends, OutcomeTest,
    ::testing::Values(
        Case{"Done", 0, 0, false, Word::kFinished, StopReason::kNone,
             v1::Attempt::SUCCEEDED, kNoKind, ""},
        Case{"DoneWithoutSayingSo", 0, 0, false, Word::kNone, StopReason::kNone,
             v1::Attempt::FAILED, v1::FAILURE_KIND_RETRYABLE,
             "never said \"finished\""},
        Case{"BadConfiguration", 64, 0, false, Word::kFailed, StopReason::kNone,
             v1::Attempt::FAILED, v1::FAILURE_KIND_PERMANENT,
             "(status 64): CODE: its words"},
        Case{"Failed", 70, 0, false, Word::kFailed, StopReason::kNone,
             v1::Attempt::FAILED, v1::FAILURE_KIND_RETRYABLE, "its words"},
        Case{"OutOfMemory", 71, 0, false, Word::kNone, StopReason::kNone,
             v1::Attempt::FAILED, v1::FAILURE_KIND_OUT_OF_MEMORY,
             "out of memory"},
        Case{"KilledByTheKernel", 0, SIGKILL, true, Word::kNone,
             StopReason::kNone, v1::Attempt::FAILED,
             v1::FAILURE_KIND_OUT_OF_MEMORY, "out of memory"},
        Case{"Crashed", 0, SIGSEGV, false, Word::kNone, StopReason::kNone,
             v1::Attempt::FAILED, v1::FAILURE_KIND_RETRYABLE,
             "signal 11 (Segmentation fault)"},
        Case{"CrashedAfterItsResult", 0, SIGSEGV, false, Word::kFinished,
             StopReason::kNone, v1::Attempt::FAILED, v1::FAILURE_KIND_RETRYABLE,
             "signal 11"},
        Case{"StoppedUnasked", 75, 0, false, Word::kNone, StopReason::kNone,
             v1::Attempt::FAILED, v1::FAILURE_KIND_RETRYABLE,
             "nobody asked it to"},
        Case{"Drained", 75, 0, false, Word::kNone, StopReason::kDrain,
             v1::Attempt::PREEMPTED, kNoKind, ""},
        Case{"DrainedBeforeItListened", 0, SIGTERM, false, Word::kNone,
             StopReason::kDrain, v1::Attempt::PREEMPTED, kNoKind, ""},
        Case{"DoneDespiteDrain", 0, 0, false, Word::kFinished,
             StopReason::kDrain, v1::Attempt::SUCCEEDED, kNoKind, ""},
        Case{"BadConfigurationDespiteDrain", 64, 0, false, Word::kFailed,
             StopReason::kDrain, v1::Attempt::FAILED,
             v1::FAILURE_KIND_PERMANENT, "its words"},
        Case{"Cancelled", 75, 0, false, Word::kNone, StopReason::kCancel,
             v1::Attempt::CANCELLED, kNoKind, ""},
        Case{"DoneDespiteCancel", 0, 0, false, Word::kFinished,
             StopReason::kCancel, v1::Attempt::CANCELLED, kNoKind, ""}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(JudgeExitTest, SaysWhyTheLastWordWasNotUnderstood) {
  TrainerExit exit;
  exit.misunderstood = "\"finished\": expected an array";
  EXPECT_EQ(JudgeExit(exit, std::nullopt, StopReason::kNone).error(),
            "the trainer exited with status 0 but its last word was not "
            "understood: \"finished\": expected an array");
}

}  // namespace
}  // namespace foldfarm
