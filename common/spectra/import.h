// Imports a folder in the competition's layout into a prepared dataset.
//
// The folder holds metadata.csv, *_labels.csv and the features files that
// metadata.csv names. All cores read, check (MD5) and prepare samples; the file
// is written at the end and appears whole or not at all. The same folder gives
// the same bytes, whatever the number of threads and the machine.
#ifndef FOLDFARM_COMMON_SPECTRA_IMPORT_H_
#define FOLDFARM_COMMON_SPECTRA_IMPORT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace foldfarm {

struct ImportOptions {
  std::string directory;
  // The prepared dataset; its folder must exist.
  std::string output;
  // 0: as many as there are cores.
  int threads = 0;
  // Leave out samples whose features file is absent, instead of refusing.
  bool allow_missing = false;
  // Only samples of these splits; empty: all.
  std::vector<std::string> splits;
  // Names of the labels of a folder without label files; empty: refuse it.
  std::vector<std::string> labels;
  // Set to true from any thread or a signal handler: the import stops soon.
  const std::atomic<bool>* cancel = nullptr;
};

struct ImportedLabel {
  std::string name;
  int64_t positive = 0;  // Labelled samples that have it.
};

// A sample that models learn little from.
struct OddSample {
  std::string id;
  int64_t scans = 0;
  // Why, one sentence or more without its name: see ImportWarnings.
  std::string warning;
};

// A sample with the features file of another one.
struct SharedFeatures {
  std::string id;
  std::string other;  // The first that has it.
};

struct ImportResult {
  std::string digest;  // SHA-256 of the file.
  int64_t size_bytes = 0;
  int64_t samples = 0;
  int64_t labelled = 0;
  // Of split train; and of these, those that no label file has a row for (0
  // where there is no label file at all).
  int64_t train = 0, train_unlabelled = 0;
  int64_t scans = 0;
  // (split, instrument_type) -> samples.
  std::map<std::pair<std::string, std::string>, int64_t> counts;
  std::vector<ImportedLabel> labels;
  // Features files that were absent (allow_missing), in metadata.csv's order,
  // and their number by split.
  std::vector<std::string> missing;
  std::map<std::string, int64_t> missing_by_split;
  // Those with the fewest scans first, then in metadata.csv's order.
  std::vector<OddSample> odd;
  // Of equal features_path or MD5, in metadata.csv's order.
  std::vector<SharedFeatures> shared;
  // m/z curves whose baseline is a straight line or a minimum, because asPLS
  // broke down on them.
  int64_t fallback_baselines = 0;
  double seconds = 0;
  int threads = 0;
};

// Samples done, of how many. Called from many threads, one at a time.
using ImportProgress = std::function<void(int64_t done, int64_t total)>;

// Errors, after which no file is left at `output` or beside it:
// * NOT_FOUND: metadata.csv, labels or features files are absent; all absent
//   features files are counted, the first ones named.
// * INVALID_ARGUMENT: malformed input, "FILE:LINE: got, expected"; for bad
//   features files the first ones in metadata.csv's order and their number.
// * CANCELLED: `cancel` was set.
// * Those of reading and writing files.
absl::StatusOr<ImportResult> ImportDataset(const ImportOptions& options,
                                           const ImportProgress& progress = {});

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_IMPORT_H_
