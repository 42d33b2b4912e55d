// Weights files of others: .pt in both of its forms, and the pickle inside.
//
// The bytes are read as a whole file, and once more as the bare pickle: in an
// archive a checksum keeps most changed ones from being looked at.
#include <string>

#include "common/weights/pickle.h"
#include "common/weights/state_dict.h"
#include "common/weights/weights_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

namespace foldfarm {
namespace {

void ReadWhole(const std::string& path) {
  const auto file = WeightsFile::Open(path);
  if (!file.ok()) {
    PromiseInvalid(file.status());
    return;
  }
  for (const auto& [name, tensor] : (*file)->tensors()) {
    int64_t bytes = DTypeSize(tensor.dtype);
    for (const int64_t extent : tensor.shape) bytes *= extent;
    const auto values = (*file)->Read(name);
    if (!values.ok()) {
      PromiseInvalid(values.status());
      continue;
    }
    Promise(static_cast<int64_t>(values->size()) == bytes,
            "a tensor has the bytes of its shape", name);
  }
}

void ReadPickle(absl::string_view bytes) {
  const auto tree = ParsePickle(bytes, IsStateDictGlobal, "fuzz");
  if (!tree.ok()) {
    PromiseInvalid(tree.status());
    return;
  }
  Promise(tree->root < tree->nodes.size(), "a tree has a root");
  for (const PickleNode& node : tree->nodes) {
    for (const uint32_t child : node.children) {
      Promise(child < tree->nodes.size(), "a node's children are in the tree");
    }
  }
  StoragesOf(*tree);
  const auto tensors = ParseStateDict(*tree, "fuzz");
  if (!tensors.ok()) {
    PromiseInvalid(tensors.status());
    return;
  }
  for (const auto& [name, tensor] : *tensors) {
    Promise(tensor.shape.size() == tensor.strides.size(),
            "an extent has a stride", name);
    // The last value that the view reaches.
    __int128 values = 1, last = tensor.offset;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      values *= tensor.shape[i];
      last += static_cast<__int128>(tensor.shape[i] - 1) * tensor.strides[i];
    }
    Promise(values == 0 || (tensor.offset >= 0 && last < tensor.storage_numel),
            "a tensor is inside its storage", name);
    Promise(values <= tensor.storage_numel,
            "a tensor has no more values than its storage", name);
  }
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  foldfarm::ReadPickle(bytes);
  foldfarm::ReadWhole(foldfarm::Scratch::Write("fuzz.pt", bytes));
  return 0;
}
