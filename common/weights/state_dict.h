// What a pickle of torch.save says about tensors.
//
// Knows the few names that a state dict is made of (torch._utils.
// _rebuild_tensor_v2 and its kin, the storage classes, OrderedDict), and what
// people put around one: {"state_dict": ...}, {"model": ...}. Values are not
// here: a tensor is a view of a storage, which the file holds elsewhere.
// Thread-safe: functions on values.
#ifndef FOLDFARM_COMMON_WEIGHTS_STATE_DICT_H_
#define FOLDFARM_COMMON_WEIGHTS_STATE_DICT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tensorfile/tensorfile.h"
#include "common/weights/pickle.h"

namespace foldfarm {

// A view of a storage: value (i, j, ...) is number offset + i*strides[0] +
// j*strides[1] + ... of it. Inside the storage, whatever the file says, and
// never more values than the storage has.
struct StoredTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  int64_t offset = 0;
  std::string storage;        // Its name in the file.
  int64_t storage_numel = 0;  // Values, not bytes.
};

// True for the names that ParseStateDict knows: for ParsePickle.
bool IsStateDictGlobal(absl::string_view global);

// The tensors of the state dict, by name. Other values beside them are left
// out. `name` stands in messages.
// Errors: INVALID_ARGUMENT naming the tensor or what the file holds instead.
absl::StatusOr<std::map<std::string, StoredTensor>> ParseStateDict(
    const PickleTree& tree, const std::string& name);

// Every storage that the pickle speaks of, also beside the state dict, and what
// its values are.
std::map<std::string, DType> StoragesOf(const PickleTree& tree);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_WEIGHTS_STATE_DICT_H_
