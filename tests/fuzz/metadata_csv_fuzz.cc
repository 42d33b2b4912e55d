// metadata.csv and a label file: which samples there are.
//
// Input: metadata.csv; after a zero byte train_labels.csv.
#include <string>

#include "absl/strings/match.h"
#include "common/spectra/sample_table.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

namespace foldfarm {
namespace {

// Whether some part of the path is "..".
bool Climbs(const std::string& path) {
  return path == ".." || absl::StartsWith(path, "../") ||
         absl::EndsWith(path, "/..") || absl::StrContains(path, "/../");
}

void Run(const std::string& metadata, const std::string& labels) {
  const std::string path = Scratch::Write("metadata.csv", metadata);
  Scratch::Write("train_labels.csv", labels);
  const auto rows = ReadMetadataFile(path);
  if (!rows.ok()) PromiseInvalid(rows.status());
  const auto table = ReadSampleTable(Scratch::Folder());
  if (!table.ok()) {
    PromiseInvalid(table.status());
    return;
  }
  Promise(rows.ok() && rows->size() == table->samples.size(),
          "labels add no samples");
  for (const SampleRow& row : table->samples) {
    Promise(!row.id.empty(), "a sample has an id");
    Promise(row.split == "train" || row.split == "val" || row.split == "test",
            "a split is one of three", row.split);
    Promise(row.instrument_type == kCommercial ||
                row.instrument_type == kSamTestbed,
            "an instrument is one of two", row.instrument_type);
    Promise(!row.features_path.empty() && row.features_path[0] != '/' &&
                !Climbs(row.features_path),
            "a path stays inside the folder", row.features_path);
    Promise(row.labels.size() == table->labels.size(),
            "a sample has a value a label", row.id);
    for (const uint8_t label : row.labels) {
      Promise(label <= 1, "a label is 0 or 1", row.id);
    }
  }
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = foldfarm::SplitInput(data, size, 2);
  foldfarm::Run(parts[0], parts[1]);
  return 0;
}
