// Files as torch.save writes them, made byte by byte for tests.
#ifndef FOLDFARM_TESTS_COMMON_WEIGHTS_MADE_WEIGHTS_H_
#define FOLDFARM_TESTS_COMMON_WEIGHTS_MADE_WEIGHTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace foldfarm {

// Writes a pickle, opcode by opcode.
class MadePickle {
 public:
  MadePickle() : bytes_("\x80\x02") {}

  MadePickle& Raw(absl::string_view bytes);
  MadePickle& Text(absl::string_view text);
  MadePickle& Int(int64_t value);
  MadePickle& Ints(const std::vector<int64_t>& values);  // A tuple.
  MadePickle& Global(absl::string_view module, absl::string_view name);
  // A tensor of `storage` (such as "FloatStorage").
  MadePickle& Tensor(absl::string_view storage, absl::string_view key,
                     int64_t numel, int64_t offset,
                     const std::vector<int64_t>& shape,
                     const std::vector<int64_t>& strides);
  // STOP included.
  std::string Done() const { return bytes_ + "."; }

 private:
  std::string bytes_;
};

struct MadeTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Strides of a row-major tensor.
std::vector<int64_t> RowMajor(const std::vector<int64_t>& shape);

// The values' bytes.
std::string FloatBytes(const std::vector<float>& values);

// A state dict of float tensors, each with a storage of its own: "0", "1", ...
std::string MadeStateDict(const std::vector<MadeTensor>& tensors);

// The same as the members of a ZIP archive under `prefix`.
std::map<std::string, std::string> MadeMembers(
    const std::vector<MadeTensor>& tensors, const std::string& prefix);

// A ZIP archive; not compressed unless `compress`.
void WriteZip(const std::string& path,
              const std::map<std::string, std::string>& members,
              bool compress = false);

// A file as PyTorch wrote it before version 1.6. `pickle` is the object,
// `storages` its bytes by key, each of `value_size` bytes a value.
std::string MadeLegacy(const std::string& pickle,
                       const std::map<std::string, std::string>& storages,
                       int value_size = 4);
std::string MadeLegacy(const std::vector<MadeTensor>& tensors);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_WEIGHTS_MADE_WEIGHTS_H_
