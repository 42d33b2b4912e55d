#include "common/spectra/assemble.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/base/json_text.h"
#include "common/spectra/prepare.h"
#include "common/spectra/prepared_dataset.h"

namespace foldfarm {
namespace {

template <typename T>
absl::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(T)};
}

}  // namespace

TensorFileWriter AssembleDataset(const SampleTable& table,
                                 const std::vector<SampleFile>& prepared) {
  TensorFileWriter writer;
  nlohmann::json samples = nlohmann::json::array();
  std::vector<int64_t> scan_offset = {0};
  std::vector<uint8_t> labels;
  for (size_t i = 0; i < prepared.size(); ++i) {
    const SampleRow& row = table.samples[i];
    samples.push_back({{"id", row.id},
                       {"split", row.split},
                       {"instrument_type", row.instrument_type},
                       {"labelled", row.labelled}});
    scan_offset.push_back(
        scan_offset.back() +
        static_cast<int64_t>(prepared[i].tensors.temperature.size()));
    labels.insert(labels.end(), row.labels.begin(), row.labels.end());
  }
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", kPreparationVersion);
  writer.SetMetadata("labels", JsonText(nlohmann::json(table.labels)));
  // Ids are printable, but need not be UTF-8.
  writer.SetMetadata("samples", JsonText(samples));
  const auto n = static_cast<int64_t>(prepared.size());
  const int64_t scans = scan_offset.back();
  writer.AddI64("scan_offset", {n + 1}, scan_offset);
  writer.AddU8("labels", {n, static_cast<int64_t>(table.labels.size())},
               labels);
  const auto add = [&](const char* name, DType dtype,
                       std::vector<int64_t> shape, auto member) {
    std::vector<absl::string_view> pieces;
    for (const SampleFile& sample : prepared) {
      pieces.push_back(BytesOf(sample.tensors.*member));
    }
    writer.AddBorrowed(name, dtype, std::move(shape), std::move(pieces));
  };
  add("temperature", DType::kF64, {scans}, &SampleTensors::temperature);
  add("abundance", DType::kF32, {scans, kNumMz}, &SampleTensors::abundance);
  add("baseline", DType::kF32, {scans, kNumMz}, &SampleTensors::baseline);
  add("offsets", DType::kF32, {n, kNumMz, kNumOffsets},
      &SampleTensors::offsets);
  add("offsets_baseline", DType::kF32, {n, kNumMz, kNumOffsets},
      &SampleTensors::offsets_baseline);
  return writer;
}

}  // namespace foldfarm
