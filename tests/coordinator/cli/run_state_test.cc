#include "coordinator/cli/run_state.h"

#include "common/base/files.h"
#include "coordinator/cli/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

class RunStateTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = MakeTemporaryDirectory("run_state_test").value();
  }
  void TearDown() override { ASSERT_TRUE(RemoveRecursively(directory_).ok()); }
  std::string Path() const { return JoinPath(directory_, "run.json"); }
  std::string directory_;
};

TEST_F(RunStateTest, AFolderWithoutAFileIsANewRun) {
  const auto state = LoadRunState(Path());
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->request_id, "");
}

TEST_F(RunStateTest, RemembersWhatWasSaved) {
  RunState state;
  state.data_directory = "data with \"quotes\"";
  state.request_id = "0123";
  state.sweep_digest = "abcd";
  state.sweep = "s2";
  state.former_sweep = "s1";
  ASSERT_TRUE(SaveRunState(Path(), state).ok());
  const auto loaded = LoadRunState(Path());
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->data_directory, state.data_directory);
  EXPECT_EQ(loaded->request_id, "0123");
  EXPECT_EQ(loaded->sweep_digest, "abcd");
  EXPECT_EQ(loaded->sweep, "s2");
  EXPECT_EQ(loaded->former_sweep, "s1");
}

TEST_F(RunStateTest, AMalformedFileIsNamed) {
  for (const char* text : {"{", "[1]", R"({"request_id": 7})"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(), text).ok());
    const auto state = LoadRunState(Path());
    ASSERT_EQ(state.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(state.status().message()), HasSubstr(Path()));
  }
}

TEST(SweepDigestTest, ChangesWithTheSweepAndTheData) {
  v1::SweepSpec spec;
  spec.set_name("demo");
  (*spec.mutable_folds()->mutable_holdout())["instrument_type"] = "sam_testbed";
  const std::string digest = SweepDigest(spec, "data-1");
  EXPECT_EQ(SweepDigest(spec, "data-1"), digest);
  EXPECT_NE(SweepDigest(spec, "data-2"), digest);
  spec.set_tta(4);
  EXPECT_NE(SweepDigest(spec, "data-1"), digest);
}

TEST(DefaultWorkersTest, LeavesEachWorkerSomeThreads) {
  EXPECT_EQ(DefaultWorkers(1), 1);
  EXPECT_EQ(DefaultWorkers(2), 2);
  EXPECT_EQ(DefaultWorkers(4), 2);
  EXPECT_EQ(DefaultWorkers(16), 4);
  EXPECT_EQ(DefaultWorkers(128), 8);
}

}  // namespace
}  // namespace foldfarm
