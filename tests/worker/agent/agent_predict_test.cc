// Attempts that predict with what a former attempt left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/tensorfile/tensorfile.h"
#include "tests/worker/agent/agent_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// What a trained job left, as the fake trainer predicts with it.
std::string Weights() {
  TensorFileWriter weights;
  weights.SetMetadata("job", "s1/succeed/0");
  return weights.Serialize();
}

TEST_F(AgentTest, AnAttemptPredictsWithTheWeightsOfAResult) {
  const int64_t token = coordinator_.AddLease("succeed");
  coordinator_.SetPredicting(token, {"S7", "S8"});
  coordinator_.AddInput(token, "weights.safetensors", Weights());
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  const auto finish = Finish(token);
  ASSERT_EQ(finish.outcome(), v1::Attempt::SUCCEEDED) << finish.error();
  ASSERT_EQ(finish.artifacts_size(), 1);
  EXPECT_EQ(finish.artifacts(0).name(), "predictions.safetensors");
  EXPECT_EQ(Heard(token).epochs.size(), 1u);
  absl::MutexLock lock(&coordinator_.mu);
  const auto file = TensorFile::Parse(
      coordinator_.artifacts[finish.artifacts(0).digest()], "predictions");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->metadata().at("sample_ids"), R"(["S7","S8"])");
}

TEST_F(AgentTest, AResultsFilesAreForAttemptsThatPredictOnly) {
  const int64_t trains = coordinator_.AddLease("succeed");
  coordinator_.AddInput(trains, "weights.safetensors", Weights());
  const int64_t predicts = coordinator_.AddLease("succeed");
  coordinator_.SetPredicting(predicts, {"S7"});
  coordinator_.AddInput(predicts, "attempt.json", "{}");
  Start();
  for (const int64_t token : {trains, predicts}) {
    ASSERT_TRUE(WaitForFinish(token));
    EXPECT_EQ(Finish(token).outcome(), v1::Attempt::FAILED);
    EXPECT_EQ(Finish(token).failure_kind(), v1::FAILURE_KIND_PERMANENT);
    EXPECT_FALSE(Heard(token).started);
  }
  EXPECT_THAT(Finish(trains).error(), HasSubstr("weights.safetensors"));
  EXPECT_THAT(Finish(predicts).error(), HasSubstr("attempt.json"));
}

}  // namespace
}  // namespace foldfarm
