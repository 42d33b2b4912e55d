#include "worker/trainer/sample_inputs.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/assemble.h"
#include "common/spectra/sample_table.h"

namespace foldfarm {
namespace {

constexpr char kMetadataFile[] = "metadata.csv";

class Finder {
 public:
  absl::Status Add(const std::string& argument) {
    if (!IsDirectory(argument)) {
      if (!FileExists(argument)) {
        return absl::NotFoundError(absl::StrCat(
            argument, ": no such file or folder, expected a features file"));
      }
      return AddFile(argument);
    }
    const std::string metadata = JoinPath(argument, kMetadataFile);
    const size_t before = found_.size();
    if (FileExists(metadata)) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::vector<SampleRow>* rows,
                                Metadata(metadata));
      for (const SampleRow& row : *rows) {
        const std::string path = JoinPath(argument, row.features_path);
        if (FileExists(path)) found_.push_back(InputOf(row, path, metadata));
      }
    } else {
      FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                                ListDirectory(argument));
      for (const std::string& name : names) {
        if (!absl::EndsWith(name, ".csv")) continue;
        FOLDFARM_RETURN_IF_ERROR(AddFile(JoinPath(argument, name)));
      }
    }
    if (found_.size() == before) {
      return absl::NotFoundError(
          absl::StrCat(argument,
                       ": holds no features files (*.csv, or those that its "
                       "metadata.csv names)"));
    }
    return absl::OkStatus();
  }

  std::vector<SampleInput> Take(const std::string& instrument_type) {
    std::map<std::string, int> times;
    for (const SampleInput& input : found_) ++times[input.id];
    for (SampleInput& input : found_) {
      if (times[input.id] > 1) input.id = input.path;
      if (input.instrument_type.empty()) {
        input.instrument_type = instrument_type;
      }
    }
    // The same file twice is one sample.
    std::vector<SampleInput> unique;
    std::map<std::string, bool> seen;
    for (SampleInput& input : found_) {
      if (!std::exchange(seen[input.id], true)) {
        unique.push_back(std::move(input));
      }
    }
    return unique;
  }

 private:
  static SampleInput InputOf(const SampleRow& row, const std::string& path,
                             const std::string& metadata) {
    return {.path = path,
            .id = row.id,
            .instrument_type = row.instrument_type,
            .md5 = row.md5,
            .md5_source = absl::StrCat(metadata, ":", row.line)};
  }

  // Read once.
  absl::StatusOr<const std::vector<SampleRow>*> Metadata(
      const std::string& path) {
    const auto known = metadata_.find(path);
    if (known != metadata_.end()) return &known->second;
    FOLDFARM_ASSIGN_OR_RETURN(std::vector<SampleRow> rows,
                              ReadMetadataFile(path));
    return &(metadata_[path] = std::move(rows));
  }

  absl::Status AddFile(const std::string& path) {
    const std::string folder = DirectoryOf(path);
    for (const std::string& place : {folder, JoinPath(folder, "..")}) {
      const std::string metadata = JoinPath(place, kMetadataFile);
      if (!FileExists(metadata)) continue;
      FOLDFARM_ASSIGN_OR_RETURN(const std::vector<SampleRow>* rows,
                                Metadata(metadata));
      for (const SampleRow& row : *rows) {
        if (BaseName(row.features_path) != BaseName(path)) continue;
        found_.push_back(InputOf(row, path, metadata));
        return absl::OkStatus();
      }
    }
    found_.push_back(
        {.path = path,
         .id = std::string(absl::StripSuffix(BaseName(path), ".csv"))});
    return absl::OkStatus();
  }

  std::vector<SampleInput> found_;
  std::map<std::string, std::vector<SampleRow>> metadata_;  // By path.
};

ReadSample ReadOne(const SampleInput& input, const TemperatureWindow& window) {
  ReadSample sample;
  sample.input = input;
  auto file = ReadSampleFile(input.path,
                             input.instrument_type == kSamTestbed
                                 ? Instrument::kSamTestbed
                                 : Instrument::kCommercial,
                             input.md5, input.md5_source);
  if (!file.ok()) {
    sample.status = file.status();
    return sample;
  }
  sample.file = *std::move(file);
  if (input.instrument_type.empty()) {
    sample.guessed_instrument = true;
    sample.input.instrument_type =
        sample.file.binned ? kSamTestbed : kCommercial;
  }
  sample.warnings = SampleWarnings(sample.file.summary,
                                   sample.file.tensors.temperature, window);
  return sample;
}

}  // namespace

absl::StatusOr<std::vector<SampleInput>> FindSamples(
    const std::vector<std::string>& arguments,
    const std::string& instrument_type) {
  Finder finder;
  for (const std::string& argument : arguments) {
    FOLDFARM_RETURN_IF_ERROR(finder.Add(argument));
  }
  return finder.Take(instrument_type);
}

std::vector<ReadSample> ReadSamples(absl::Span<const SampleInput> inputs,
                                    const TemperatureWindow& window,
                                    int threads) {
  std::vector<ReadSample> samples(inputs.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < inputs.size(); i = next++) {
      samples[i] = ReadOne(inputs[i], window);
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < std::min<int>(threads, inputs.size()); ++t) {
    others.emplace_back(work);
  }
  work();
  for (std::thread& thread : others) thread.join();
  return samples;
}

absl::StatusOr<std::shared_ptr<const PreparedDataset>> DatasetOf(
    const std::vector<ReadSample>& samples,
    const std::vector<std::string>& labels) {
  SampleTable table;
  table.labels = labels;
  std::vector<SampleFile> files;
  for (const ReadSample& sample : samples) {
    if (!sample.status.ok()) continue;
    SampleRow row;
    row.id = sample.input.id;
    row.split = "test";
    row.instrument_type = sample.input.instrument_type;
    row.labels.resize(labels.size(), 0);
    table.samples.push_back(std::move(row));
    files.push_back(sample.file);
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      auto file, TensorFile::Parse(AssembleDataset(table, files).Serialize(),
                                   "the samples"));
  return PreparedDataset::FromFile(std::move(file), "the samples");
}

}  // namespace foldfarm
