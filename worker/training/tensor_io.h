// Torch's tensors to and from safetensors files.
#ifndef FOLDFARM_WORKER_TRAINING_TENSOR_IO_H_
#define FOLDFARM_WORKER_TRAINING_TENSOR_IO_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/tensorfile/tensorfile.h"
#include "worker/training/optimizer.h"

namespace foldfarm {

// Writes F32, F64, I64 and U8 tensors of any device and strides, durably.
absl::Status WriteTensors(const std::string& path, const NamedTensors& tensors,
                          const std::map<std::string, std::string>& metadata);

// Copies the file's tensors into `tensors` by name, in place.
// Errors: INVALID_ARGUMENT naming a tensor that the file lacks, that it has
// too many, or whose shape or dtype differs.
absl::Status ReadTensors(const TensorFile& file, absl::string_view name,
                         const NamedTensors& tensors);

// Parameters and buffers under their names; shared with the network.
NamedTensors NamedWeights(torch::nn::Module& network);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TENSOR_IO_H_
