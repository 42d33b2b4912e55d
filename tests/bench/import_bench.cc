// How long preparing a sample takes on one core, and how long a whole import.
//
//   import_bench [DIR] [N]
//
// DIR is a folder in the competition's layout; without one, samples are
// synthesized. The parts are timed on one thread over N samples of each
// instrument (default 100) in CPU time; the import takes all samples and all
// cores.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/features_csv.h"
#include "common/spectra/import.h"
#include "common/spectra/prepare.h"
#include "common/spectra/sample_table.h"
#include "common/spectra/synthesize.h"

namespace foldfarm {
namespace {

// CPU seconds of this process, all threads.
double CpuSeconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Parts {
  int samples = 0;
  double bytes = 0;
  double read = 0;
  double md5 = 0;
  double parse = 0;
  double prepare = 0;
};

absl::Status TimeParts(const std::string& directory, int count) {
  FOLDFARM_ASSIGN_OR_RETURN(const SampleTable table,
                            ReadSampleTable(directory));
  std::map<std::string, Parts> by_instrument;
  for (const SampleRow& row : table.samples) {
    Parts& parts = by_instrument[row.instrument_type];
    const std::string path = JoinPath(directory, row.features_path);
    if (parts.samples >= count || !FileExists(path)) continue;
    const double t0 = CpuSeconds();
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    const double t1 = CpuSeconds();
    if (Md5Hex(text) != row.md5) return absl::DataLossError(path);
    const double t2 = CpuSeconds();
    FOLDFARM_ASSIGN_OR_RETURN(const Readings readings,
                              ParseFeatures(text, path));
    const double t3 = CpuSeconds();
    FOLDFARM_ASSIGN_OR_RETURN(
        const PreparedSample sample,
        PrepareSample(readings, row.instrument_type == kSamTestbed
                                    ? Instrument::kSamTestbed
                                    : Instrument::kCommercial));
    const SampleTensors tensors = ToTensors(sample);
    const double t4 = CpuSeconds();
    ++parts.samples;
    parts.bytes += static_cast<double>(text.size());
    parts.read += t1 - t0;
    parts.md5 += t2 - t1;
    parts.parse += t3 - t2;
    parts.prepare += t4 - t3;
  }
  std::printf("%-12s %8s %8s %9s %9s %9s %9s %9s\n", "ms a sample", "samples",
              "MB", "read", "md5", "parse", "prepare", "all");
  for (const auto& [instrument, parts] : by_instrument) {
    const double scale = 1e3 / std::max(parts.samples, 1);
    std::printf("%-12s %8d %8.2f %9.2f %9.2f %9.2f %9.2f %9.2f\n",
                instrument.c_str(), parts.samples, parts.bytes * scale / 1e9,
                parts.read * scale, parts.md5 * scale, parts.parse * scale,
                parts.prepare * scale,
                (parts.read + parts.md5 + parts.parse + parts.prepare) * scale);
  }
  return absl::OkStatus();
}

absl::Status Run(std::string directory, int count) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string scratch,
                            MakeTemporaryDirectory("import_bench"));
  const absl::Status status = [&]() -> absl::Status {
    if (directory.empty()) {
      directory = JoinPath(scratch, "data");
      const double start = CpuSeconds();
      FOLDFARM_RETURN_IF_ERROR(SynthesizeDataset(directory, {}));
      std::printf("synthesized in %.2f s of CPU\n", CpuSeconds() - start);
    }
    FOLDFARM_RETURN_IF_ERROR(TimeParts(directory, count));
    ImportOptions options;
    options.directory = directory;
    options.output = JoinPath(scratch, "dataset.safetensors");
    options.allow_missing = true;
    const double start = CpuSeconds();
    FOLDFARM_ASSIGN_OR_RETURN(const ImportResult result,
                              ImportDataset(options));
    const double cpu = CpuSeconds() - start;
    const auto samples = static_cast<double>(result.samples);
    std::printf(
        "import: %lld samples, %d threads, %.2f s; %.5f s CPU a sample; "
        "%.1f MB written; %lld fallback baselines\n",
        static_cast<long long>(result.samples), result.threads, result.seconds,
        cpu / samples, static_cast<double>(result.size_bytes) / 1e6,
        static_cast<long long>(result.fallback_baselines));
    return absl::OkStatus();
  }();
  RemoveRecursively(scratch).IgnoreError();
  return status;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) {
  const absl::Status status = foldfarm::Run(
      argc > 1 ? argv[1] : "", argc > 2 ? std::atoi(argv[2]) : 100);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
