#include "tests/worker/render/simple_dataset.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "worker/render/render_options.h"

namespace foldfarm {

std::string SimpleDatasetFile(const std::vector<SimpleSample>& samples,
                              const std::vector<double>& temperature) {
  const auto n = static_cast<int64_t>(samples.size());
  const auto num_labels = static_cast<int64_t>(samples[0].labels.size());
  std::vector<int64_t> scan_offset = {0};
  std::vector<double> temperatures;
  std::vector<float> abundance, baseline, offsets, offsets_baseline;
  std::vector<uint8_t> labels;
  nlohmann::json infos = nlohmann::json::array();
  for (const SimpleSample& sample : samples) {
    for (const double t : temperature) {
      for (int mz = 0; mz < kNumMz; ++mz) {
        abundance.push_back(sample.abundance(mz, t));
        baseline.push_back(
            std::isnan(abundance.back()) ? kNothing : sample.baseline(mz, t));
      }
    }
    temperatures.insert(temperatures.end(), temperature.begin(),
                        temperature.end());
    scan_offset.push_back(static_cast<int64_t>(temperatures.size()));
    for (int mz = 0; mz < kNumMz; ++mz) {
      for (int k = 0; k < kNumOffsets; ++k) {
        offsets.push_back(sample.offset(mz, k));
        offsets_baseline.push_back(0);
      }
    }
    labels.insert(labels.end(), sample.labels.begin(), sample.labels.end());
    infos.push_back({{"id", absl::StrCat("R", infos.size())},
                     {"split", "train"},
                     {"instrument_type", sample.instrument_type},
                     {"labelled", true}});
  }
  nlohmann::json names = nlohmann::json::array();
  for (int64_t label = 0; label < num_labels; ++label) {
    names.push_back(absl::StrCat("label", label));
  }
  const auto s = static_cast<int64_t>(temperatures.size());
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("labels", JsonText(names));
  writer.SetMetadata("samples", JsonText(infos));
  writer.AddI64("scan_offset", {n + 1}, scan_offset);
  writer.AddF64("temperature", {s}, temperatures);
  writer.AddF32("abundance", {s, kNumMz}, abundance);
  writer.AddF32("baseline", {s, kNumMz}, baseline);
  writer.AddF32("offsets", {n, kNumMz, kNumOffsets}, offsets);
  writer.AddF32("offsets_baseline", {n, kNumMz, kNumOffsets}, offsets_baseline);
  writer.AddU8("labels", {n, num_labels}, labels);
  return writer.Serialize();
}

std::shared_ptr<const PreparedDataset> SimpleDataset(
    const std::vector<SimpleSample>& samples,
    const std::vector<double>& temperature) {
  auto file =
      TensorFile::Parse(SimpleDatasetFile(samples, temperature), "simple");
  auto dataset = file.ok()
                     ? PreparedDataset::FromFile(*file, "simple")
                     : absl::StatusOr<std::shared_ptr<const PreparedDataset>>(
                           file.status());
  if (!dataset.ok()) {
    std::fprintf(stderr, "%s\n",
                 std::string(dataset.status().message()).c_str());
    std::abort();
  }
  return *dataset;
}

std::vector<double> ColumnTemperatures(double temp_step) {
  std::vector<double> temperature = {-1000};
  for (int k = 0; k < kNumColumns; ++k) {
    temperature.push_back(kFirstColumnCelsius + temp_step * k);
  }
  temperature.push_back(3000);
  return temperature;
}

}  // namespace foldfarm
