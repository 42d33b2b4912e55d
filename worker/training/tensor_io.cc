#include "worker/training/tensor_io.h"

#include <torch/torch.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

absl::StatusOr<DType> ToDType(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return DType::kF32;
    case at::kDouble:
      return DType::kF64;
    case at::kLong:
      return DType::kI64;
    case at::kByte:
      return DType::kU8;
    default:
      return absl::InternalError(absl::StrCat(
          "cannot store tensors of ", c10::toString(tensor.scalar_type())));
  }
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace

absl::Status WriteTensors(const std::string& path, const NamedTensors& tensors,
                          const std::map<std::string, std::string>& metadata) {
  TensorFileWriter writer;
  for (const auto& [key, value] : metadata) writer.SetMetadata(key, value);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor data = tensor.detach().cpu().contiguous();
    FOLDFARM_ASSIGN_OR_RETURN(const DType dtype, ToDType(data));
    writer.Add(name, dtype, data.sizes().vec(),
               absl::string_view(static_cast<const char*>(data.data_ptr()),
                                 data.nbytes()));
  }
  return WriteFileDurably(path, writer.Serialize());
}

absl::Status ReadTensors(const TensorFile& file, absl::string_view name,
                         const NamedTensors& tensors) {
  if (file.tensors().size() != tensors.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": holds ", file.tensors().size(),
                     " tensors, expected ", tensors.size()));
  }
  const at::NoGradGuard no_grad;
  for (const auto& [key, tensor] : tensors) {
    FOLDFARM_ASSIGN_OR_RETURN(const TensorView view, file.Get(key));
    FOLDFARM_ASSIGN_OR_RETURN(const DType dtype, ToDType(tensor));
    const std::vector<int64_t> shape = tensor.sizes().vec();
    if (view.dtype != dtype || view.shape != shape) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": tensor ", key, " is ", DTypeName(view.dtype),
                       " ", ShapeText(view.shape), ", expected ",
                       DTypeName(dtype), " ", ShapeText(shape)));
    }
    // The bytes may be unaligned: copy them before Torch reads them.
    at::Tensor data = at::empty(shape, at::dtype(tensor.scalar_type()));
    std::copy(view.bytes.begin(), view.bytes.end(),
              static_cast<char*>(data.data_ptr()));
    at::Tensor target = tensor;
    target.copy_(data);
  }
  return absl::OkStatus();
}

NamedTensors NamedWeights(torch::nn::Module& network) {
  NamedTensors result;
  for (const auto& item : network.named_parameters()) {
    result.emplace_back(item.key(), item.value().detach());
  }
  for (const auto& item : network.named_buffers()) {
    result.emplace_back(item.key(), item.value());
  }
  return result;
}

}  // namespace foldfarm
