// The smallest prepared dataset and predictions that the farm takes for real.
#ifndef FOLDFARM_TESTS_TESTING_TINY_DATA_H_
#define FOLDFARM_TESTS_TESTING_TINY_DATA_H_

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {

// `samples` labelled train samples T000, T001..., every fourth of them a
// sam_testbed, the rest commercial, and `test_samples` unlabelled ones of split
// "test" behind them. Two labels, "a" (every second sample) and "b" (every
// third), under the names of `label_names`. One scan each.
inline std::string TinyDataset(int samples, int test_samples = 1,
                               const std::vector<std::string>& label_names = {
                                   "a", "b"}) {
  nlohmann::json table = nlohmann::json::array();
  std::vector<int64_t> offset = {0};
  std::vector<uint8_t> labels;
  for (int i = 0; i < samples + test_samples; ++i) {
    const bool test = i >= samples;
    table.push_back(
        {{"id", absl::StrFormat("T%03d", i)},
         {"split", test ? "test" : "train"},
         {"instrument_type", i % 4 == 3 ? "sam_testbed" : "commercial"},
         {"labelled", !test}});
    offset.push_back(i + 1);
    labels.push_back(!test && i % 2 == 0);
    labels.push_back(!test && i % 3 == 0);
  }
  const int64_t n = samples + test_samples;
  const std::vector<double> temperature(static_cast<size_t>(n), 100.0);
  const std::vector<float> scans(static_cast<size_t>(n) * 100, 0.5f);
  const std::vector<float> offsets(static_cast<size_t>(n) * 400, 0.1f);
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("labels", JsonText(nlohmann::json(label_names)));
  writer.SetMetadata("samples", JsonText(table));
  writer.AddI64("scan_offset", {n + 1}, offset);
  writer.AddF64("temperature", {n}, temperature);
  writer.AddF32("abundance", {n, 100}, scans);
  writer.AddF32("baseline", {n, 100}, scans);
  writer.AddF32("offsets", {n, 100, 4}, offsets);
  writer.AddF32("offsets_baseline", {n, 100, 4}, offsets);
  writer.AddU8("labels", {n, 2}, labels);
  return writer.Serialize();
}

// Predictions of `samples`, two equal draws. `values`: samples x labels.
inline std::string TinyOofOf(const std::vector<std::string>& samples,
                             const std::vector<std::string>& labels,
                             const std::vector<float>& values) {
  const int64_t n = static_cast<int64_t>(samples.size());
  const int64_t l = static_cast<int64_t>(labels.size());
  std::vector<float> draws = values;
  draws.insert(draws.end(), values.begin(), values.end());
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-oof");
  writer.SetMetadata("sample_ids", JsonText(nlohmann::json(samples)));
  writer.SetMetadata("labels", JsonText(nlohmann::json(labels)));
  writer.AddF32("probabilities", {n, l}, values);
  writer.AddF32("draws", {2, n, l}, draws);
  return writer.Serialize();
}

// Predictions of `probability` for each of `samples`.
inline std::string TinyOof(const std::vector<std::string>& samples,
                           float probability,
                           const std::vector<std::string>& labels = {"a",
                                                                     "b"}) {
  return TinyOofOf(
      samples, labels,
      std::vector<float>(samples.size() * labels.size(), probability));
}

// Predictions that give what is true of TinyDataset's samples the probability
// `right`.
inline std::string TinyOofRight(const std::vector<std::string>& samples,
                                float right) {
  std::vector<float> values;
  for (const std::string& id : samples) {
    const int i = std::stoi(id.substr(1));
    for (const int every : {2, 3}) {
      values.push_back(i % every == 0 ? right : 1.0f - right);
    }
  }
  return TinyOofOf(samples, {"a", "b"}, values);
}

// What an attempt that predicts leaves: draw d of every probability is
// draws[d].
inline std::string TinyPredictions(const std::vector<std::string>& samples,
                                   const std::vector<float>& draws,
                                   const std::vector<std::string>& labels = {
                                       "a", "b"}) {
  const int64_t n = static_cast<int64_t>(samples.size());
  const int64_t l = static_cast<int64_t>(labels.size());
  std::vector<float> all;
  float mean = 0;
  for (const float draw : draws) {
    all.insert(all.end(), static_cast<size_t>(n * l), draw);
    mean += draw / static_cast<float>(draws.size());
  }
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-predictions");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("sample_ids", JsonText(nlohmann::json(samples)));
  writer.SetMetadata("labels", JsonText(nlohmann::json(labels)));
  writer.AddF32("probabilities", {n, l},
                std::vector<float>(static_cast<size_t>(n * l), mean));
  writer.AddF32("draws", {static_cast<int64_t>(draws.size()), n, l}, all);
  return writer.Serialize();
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_TINY_DATA_H_
