#include "common/spectra/import.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/assemble.h"
#include "common/spectra/prepare.h"
#include "common/spectra/sample_check.h"
#include "common/spectra/sample_file.h"
#include "common/spectra/sample_table.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {
namespace {

constexpr size_t kErrorsShown = 5;
constexpr size_t kMissingShown = 10;

bool IsSet(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

// Reads, checks and prepares one sample.
absl::StatusOr<SampleFile> ReadSample(const std::string& directory,
                                      const SampleRow& row) {
  return ReadSampleFile(JoinPath(directory, row.features_path),
                        row.instrument_type == kSamTestbed
                            ? Instrument::kSamTestbed
                            : Instrument::kCommercial,
                        row.md5, absl::StrCat("metadata.csv:", row.line));
}

// Drops the samples of other splits.
absl::Status TakeSplits(const ImportOptions& options, SampleTable* table) {
  if (options.splits.empty()) return absl::OkStatus();
  std::map<std::string, int> counts;
  std::vector<SampleRow> taken;
  for (SampleRow& row : table->samples) {
    ++counts[row.split];
    if (std::find(options.splits.begin(), options.splits.end(), row.split) !=
        options.splits.end()) {
      taken.push_back(std::move(row));
    }
  }
  table->samples = std::move(taken);
  if (!table->samples.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      JoinPath(options.directory, "metadata.csv"), ": no samples of split ",
      absl::StrJoin(options.splits, ", "), "; it has ",
      absl::StrJoin(counts, ", ", absl::PairFormatter(" "))));
}

// Splits off the samples whose features file is absent.
absl::Status TakePresent(const ImportOptions& options, SampleTable* table,
                         ImportResult* result) {
  std::vector<SampleRow> present;
  for (SampleRow& row : table->samples) {
    if (FileExists(JoinPath(options.directory, row.features_path))) {
      present.push_back(std::move(row));
    } else {
      result->missing.push_back(row.features_path);
      ++result->missing_by_split[row.split];
    }
  }
  table->samples = std::move(present);
  if (result->missing.empty()) return absl::OkStatus();
  const size_t shown = std::min(result->missing.size(), kMissingShown);
  const std::string what = absl::StrCat(
      options.directory, ": ", result->missing.size(), " of ",
      result->missing.size() + table->samples.size(),
      " features files of metadata.csv are absent (",
      absl::StrJoin(result->missing_by_split, ", ", absl::PairFormatter(" ")),
      "): ",
      absl::StrJoin(result->missing.begin(),
                    result->missing.begin() + static_cast<ptrdiff_t>(shown),
                    ", "),
      shown < result->missing.size()
          ? absl::StrCat(" and ", result->missing.size() - shown, " more")
          : "");
  if (table->samples.empty()) return absl::NotFoundError(what);
  if (!options.allow_missing) {
    return absl::NotFoundError(
        absl::StrCat(what, "; --allow-missing goes on without them"));
  }
  return absl::OkStatus();
}

// Prepares all samples on many threads. In order, whoever did which.
absl::StatusOr<std::vector<SampleFile>> PrepareAll(
    const ImportOptions& options, const std::vector<SampleRow>& rows,
    int num_threads, const ImportProgress& progress) {
  std::vector<SampleFile> prepared(rows.size());
  std::vector<absl::Status> statuses(rows.size());
  std::atomic<size_t> next{0};
  absl::Mutex mu;
  int64_t done = 0;
  const auto work = [&] {
    while (!IsSet(options.cancel)) {
      const size_t i = next.fetch_add(1);
      if (i >= rows.size()) return;
      absl::StatusOr<SampleFile> sample =
          ReadSample(options.directory, rows[i]);
      if (sample.ok()) {
        prepared[i] = *std::move(sample);
      } else {
        statuses[i] = sample.status();
      }
      absl::MutexLock lock(&mu);
      ++done;
      if (progress) progress(done, static_cast<int64_t>(rows.size()));
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < num_threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (IsSet(options.cancel)) return absl::CancelledError("import cancelled");

  std::vector<std::string> messages;
  absl::Status first;
  size_t bad = 0;
  for (const absl::Status& status : statuses) {
    if (status.ok()) continue;
    if (bad++ == 0) first = status;
    if (messages.size() < kErrorsShown) {
      messages.push_back(std::string(status.message()));
    }
  }
  if (bad == 0) return prepared;
  if (bad == 1) return first;
  return absl::Status(
      first.code(),
      absl::StrCat(
          bad, " of ", rows.size(), " features files are bad:\n  ",
          absl::StrJoin(messages, "\n  "),
          bad > messages.size()
              ? absl::StrCat("\n  and ", bad - messages.size(), " more")
              : ""));
}

std::vector<OddSample> FindOdd(const std::vector<SampleRow>& rows,
                               const std::vector<SampleFile>& prepared) {
  std::vector<OddSample> odd;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ReadingSummary& summary = prepared[i].summary;
    const std::vector<std::string> warnings =
        ImportWarnings(summary, prepared[i].tensors.temperature);
    if (warnings.empty()) continue;
    odd.push_back({rows[i].id, summary.scans, absl::StrJoin(warnings, "; ")});
  }
  std::stable_sort(
      odd.begin(), odd.end(),
      [](const OddSample& a, const OddSample& b) { return a.scans < b.scans; });
  return odd;
}

std::vector<SharedFeatures> FindShared(const std::vector<SampleRow>& rows) {
  std::map<std::string, std::string> by_path, by_md5;  // Ids.
  std::vector<SharedFeatures> shared;
  for (const SampleRow& row : rows) {
    const auto path = by_path.emplace(row.features_path, row.id);
    if (!path.second) {
      shared.push_back({row.id, path.first->second});
      continue;
    }
    if (row.md5.empty()) continue;
    const auto md5 = by_md5.emplace(row.md5, row.id);
    if (!md5.second) shared.push_back({row.id, md5.first->second});
  }
  return shared;
}

// Writes the dataset beside `output`, then renames it.
absl::Status WriteDataset(const ImportOptions& options,
                          const TensorFileWriter& writer,
                          ImportResult* result) {
  const std::string temporary =
      absl::StrCat(options.output, ".part.", getpid());
  const absl::Status status = [&]() -> absl::Status {
    FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(temporary));
    FOLDFARM_ASSIGN_OR_RETURN(const auto file, AppendFile::Open(temporary));
    Hasher hasher = Hasher::Sha256();
    FOLDFARM_RETURN_IF_ERROR(
        writer.SerializeTo([&](absl::string_view piece) -> absl::Status {
          if (IsSet(options.cancel)) {
            return absl::CancelledError("import cancelled");
          }
          hasher.Update(piece);
          return file->Append(piece);
        }));
    result->digest = hasher.FinishHex();
    result->size_bytes = file->size();
    return PublishFile(temporary, options.output);
  }();
  if (!status.ok()) RemoveRecursively(temporary).IgnoreError();
  return status;
}

}  // namespace

absl::StatusOr<ImportResult> ImportDataset(const ImportOptions& options,
                                           const ImportProgress& progress) {
  const absl::Duration start = Clock::Real().Monotonic();
  ImportResult result;
  FOLDFARM_ASSIGN_OR_RETURN(SampleTable table,
                            ReadSampleTable(options.directory, options.labels));
  FOLDFARM_RETURN_IF_ERROR(TakeSplits(options, &table));
  FOLDFARM_RETURN_IF_ERROR(TakePresent(options, &table, &result));
  const int cores =
      std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  result.threads = std::min(options.threads > 0 ? options.threads : cores,
                            static_cast<int>(table.samples.size()));
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<SampleFile> prepared,
      PrepareAll(options, table.samples, result.threads, progress));
  FOLDFARM_RETURN_IF_ERROR(
      WriteDataset(options, AssembleDataset(table, prepared), &result));

  for (const std::string& label : table.labels) {
    result.labels.push_back({label, 0});
  }
  for (const SampleRow& row : table.samples) {
    ++result.counts[{row.split, row.instrument_type}];
    result.labelled += row.labelled ? 1 : 0;
    if (row.split == "train") {
      ++result.train;
      if (table.has_label_files && !row.labelled) ++result.train_unlabelled;
    }
    for (size_t l = 0; l < row.labels.size(); ++l) {
      result.labels[l].positive += row.labels[l];
    }
  }
  for (const SampleFile& sample : prepared) {
    result.scans += static_cast<int64_t>(sample.tensors.temperature.size());
    result.fallback_baselines += sample.fallback_baselines;
  }
  result.odd = FindOdd(table.samples, prepared);
  result.shared = FindShared(table.samples);
  result.samples = static_cast<int64_t>(prepared.size());
  result.seconds = absl::ToDoubleSeconds(Clock::Real().Monotonic() - start);
  return result;
}

}  // namespace foldfarm
