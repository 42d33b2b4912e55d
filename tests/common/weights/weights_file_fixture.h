// A folder with one file in it, which a test makes and opens as weights.
#ifndef FOLDFARM_TESTS_COMMON_WEIGHTS_WEIGHTS_FILE_FIXTURE_H_
#define FOLDFARM_TESTS_COMMON_WEIGHTS_WEIGHTS_FILE_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/weights/weights_file.h"
#include "tests/common/weights/made_weights.h"

namespace foldfarm {

class WeightsFileTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = *MakeTemporaryDirectory("weights"); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::string Path() const { return JoinPath(folder_, "weights"); }
  absl::StatusOr<std::unique_ptr<WeightsFile>> OpenBytes(
      const std::string& bytes) const {
    EXPECT_TRUE(WriteFileAtomically(Path(), bytes).ok());
    return WeightsFile::Open(Path());
  }
  absl::StatusOr<std::unique_ptr<WeightsFile>> OpenZip(
      const std::map<std::string, std::string>& members) const {
    WriteZip(Path(), members);
    return WeightsFile::Open(Path());
  }
  // An archive with that pickle and one storage of 12 floats, 0 to 11.
  absl::StatusOr<std::unique_ptr<WeightsFile>> OpenPickle(
      const std::string& pickle) const {
    std::vector<float> values;
    for (int i = 0; i < 12; ++i) values.push_back(static_cast<float>(i));
    return OpenZip({{"x/data.pkl", pickle}, {"x/data/0", FloatBytes(values)}});
  }
  // The message of a pickle that is refused.
  std::string Refusal(const std::string& pickle) const {
    const auto file = OpenPickle(pickle);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(file.status().message());
  }
  static std::vector<float> Floats(WeightsFile& file, const std::string& name) {
    const auto bytes = file.Read(name);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    if (!bytes.ok()) return {};
    std::vector<float> values(bytes->size() / sizeof(float));
    if (!bytes->empty()) {
      std::memcpy(values.data(), bytes->data(), bytes->size());
    }
    return values;
  }

  std::string folder_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_WEIGHTS_WEIGHTS_FILE_FIXTURE_H_
