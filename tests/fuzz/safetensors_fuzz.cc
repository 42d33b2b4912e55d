// Safetensors files, and prepared datasets inside them.
#include <string>

#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {
namespace {

void Run(const std::string& bytes) {
  const auto parsed = TensorFile::Parse(bytes, "fuzz.safetensors");
  if (!parsed.ok()) {
    PromiseInvalid(parsed.status());
    return;
  }
  const TensorFile& file = **parsed;
  TensorFileWriter writer;
  for (const auto& [key, value] : file.metadata()) {
    writer.SetMetadata(key, value);
  }
  for (const auto& [name, tensor] : file.tensors()) {
    int64_t values = 1;
    for (const int64_t extent : tensor.shape) {
      Promise(extent >= 0, "a shape is not negative", name);
      values *= extent;
    }
    Promise(static_cast<int64_t>(tensor.bytes.size()) ==
                values * DTypeSize(tensor.dtype),
            "a tensor has the bytes of its shape", name);
    Promise(tensor.bytes.empty() ||
                reinterpret_cast<uintptr_t>(tensor.bytes.data()) %
                        static_cast<uintptr_t>(DTypeSize(tensor.dtype)) ==
                    0,
            "a tensor is aligned", name);
    // Copies, and so reads, every byte.
    writer.Add(name, tensor.dtype, tensor.shape, tensor.bytes);
  }
  const auto again = TensorFile::Parse(writer.Serialize(), "again");
  Promise(again.ok(), "what was read can be written and read",
          again.status().ToString());
  Promise((*again)->metadata() == file.metadata(), "metadata come back");
  Promise((*again)->tensors().size() == file.tensors().size(),
          "tensors come back");
  for (const auto& [name, tensor] : file.tensors()) {
    const auto copy = (*again)->Get(name);
    Promise(copy.ok() && copy->dtype == tensor.dtype &&
                copy->shape == tensor.shape && copy->bytes == tensor.bytes,
            "a tensor comes back", name);
  }
  const auto dataset = PreparedDataset::FromFile(*parsed, "fuzz");
  if (!dataset.ok()) {
    Promise(!dataset.status().message().empty(), "an error says something");
    return;
  }
  const auto scans = (*dataset)->scan_offset();
  Promise(scans.size() == static_cast<size_t>((*dataset)->num_samples()) + 1,
          "a sample has its scans");
  for (size_t i = 1; i < scans.size(); ++i) {
    Promise(
        scans[i - 1] <= scans[i] &&
            scans[i] <= static_cast<int64_t>((*dataset)->temperature().size()),
        "scans are inside the file");
  }
  for (const SampleInfo& sample : (*dataset)->header().samples) {
    Promise((*dataset)->IndexOf(sample.id).ok(), "a sample has an index",
            sample.id);
  }
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  foldfarm::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
