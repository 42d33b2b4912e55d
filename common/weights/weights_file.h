// Weights as others publish them: .safetensors, and .pt or .pth of torch.save.
//
// A .pt file is a pickle with the tensors' bytes beside it, in a ZIP archive
// (PyTorch 1.6 and later) or one after the other (before). It is read as data:
// nothing in it is ever run, and a pickle that names anything a state dict does
// not need is refused. What the file says of itself is checked before it is
// believed. Not thread-safe.
#ifndef FOLDFARM_COMMON_WEIGHTS_WEIGHTS_FILE_H_
#define FOLDFARM_COMMON_WEIGHTS_WEIGHTS_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {

enum class WeightsContainer { kSafetensors, kPytorch };

// "safetensors" or "pytorch".
absl::string_view WeightsContainerName(WeightsContainer container);

struct WeightsTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
};

class WeightsFile {
 public:
  // The container is told by the first bytes. Errors: those of opening;
  // INVALID_ARGUMENT naming the file and what is wrong with it, or what it
  // seems to be instead.
  static absl::StatusOr<std::unique_ptr<WeightsFile>> Open(
      const std::string& path);

  virtual ~WeightsFile() = default;

  virtual WeightsContainer container() const = 0;

  const std::map<std::string, WeightsTensor>& tensors() const {
    return tensors_;
  }

  // A tensor's values, row-major and little-endian. REQUIRES: it is in
  // tensors(). Errors: INVALID_ARGUMENT when its bytes are damaged.
  virtual absl::StatusOr<std::string> Read(const std::string& name) = 0;

 protected:
  std::map<std::string, WeightsTensor> tensors_;
};

// The two formats of torch.save. Open calls them.
absl::StatusOr<std::unique_ptr<WeightsFile>> OpenPytorchZip(
    const std::string& path);
absl::StatusOr<std::unique_ptr<WeightsFile>> OpenPytorchLegacy(
    const std::string& path);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_WEIGHTS_WEIGHTS_FILE_H_
