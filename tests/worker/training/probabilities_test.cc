#include "worker/training/probabilities.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

// Has memory for so many images; the logit is the image's first pixel.
class SmallGpu : public Model {
 public:
  explicit SmallGpu(int64_t room) : room_(room) {}
  at::Tensor Forward(const at::Tensor& images) override {
    batches.push_back(images.size(0));
    TORCH_CHECK_WITH(OutOfMemoryError, images.size(0) <= room_,
                     "CUDA out of memory");
    return images.select(1, 0).narrow(1, 0, 1);
  }
  torch::nn::Module& module() override { return module_; }

  std::vector<int64_t> batches;

 private:
  const int64_t room_;
  torch::nn::Module module_;
};

TEST(ProbabilitiesTest, ImagesThatFindNoRoomTogetherGoInParts) {
  const at::Tensor images = at::randn({7, 100, 80});
  SmallGpu small(2), large(64);
  const at::Tensor parts = Probabilities(small, images, /*bf16=*/false);
  EXPECT_THAT(small.batches, ElementsAre(7, 4, 2, 2, 3, 2, 1));
  EXPECT_TRUE(parts.equal(Probabilities(large, images, /*bf16=*/false)));
  EXPECT_THAT(large.batches, ElementsAre(7));
  EXPECT_FALSE(small.module().is_training());
}

TEST(ProbabilitiesTest, OneImageWithoutRoomIsAnError) {
  SmallGpu none(0);
  EXPECT_THROW(Probabilities(none, at::randn({2, 100, 80}), /*bf16=*/false),
               c10::OutOfMemoryError);
}

}  // namespace
}  // namespace foldfarm
