#include "common/spectra/synthesize.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/exp.h"
#include "common/spectra/minerals.h"
#include "common/spectra/prepared_dataset.h"
#include "common/spectra/sample_table.h"

namespace foldfarm {
namespace {

constexpr int kMaxSamples = 100'000;
constexpr int kCommercialScans = 150;
constexpr int kSamReadings = 20'000;
// Of train samples to one test sample.
constexpr int kTrainToTest = 8;
// Spread of strengths, on the log scale.
constexpr double kStrengthSpread = 0.8;
// Currents, in amperes, of a strength of 1; SAM counts of the same.
constexpr double kCurrent = 1e-9;
constexpr double kCounts = 3e6;

// Draws that are equal on every machine: integers and IEEE arithmetic only.
class Random {
 public:
  Random(uint64_t seed, uint64_t sample)
      : bits_(seed * 0x9E3779B97F4A7C15u + sample) {}
  // In [0, 1).
  double Uniform() {
    return static_cast<double>(bits_() >> 11) * (1.0 / 9007199254740992.0);
  }
  double Uniform(double low, double high) {
    return low + (high - low) * Uniform();
  }
  // Nearly normal, mean 0, deviation 1, within +-6: the sum of 12 uniforms
  // taken from three draws (16 bits each).
  double Normal() {
    int64_t sum = 0;
    for (int draw = 0; draw < 3; ++draw) {
      const uint64_t bits = bits_();
      for (int shift = 0; shift < 64; shift += 16) {
        sum += static_cast<int64_t>((bits >> shift) & 0xFFFF);
      }
    }
    return (static_cast<double>(sum) + 6.0) / 65536.0 - 6.0;
  }
  bool Chance(double probability) { return Uniform() < probability; }

 private:
  std::mt19937_64 bits_;
};

// A release with this sample's values.
struct Peak {
  Gas gas;
  double centre;
  double width;
  double strength;
};

// What makes one sample differ from the next.
struct Chemistry {
  std::array<uint8_t, 16> labels{};
  std::vector<Peak> peaks;
  double helium;
  double drift;  // Of the background over the run, as a factor's logarithm.
  std::array<double, kNumMz> background{};

  // Abundance of every m/z at `temperature`; `progress` runs from 0 to 1.
  std::array<double, kNumMz> At(double temperature, double progress) const {
    std::array<double, kNumMz> out{};
    const double drifted = ExactExp(drift * progress);
    for (size_t mz = 0; mz < kNumMz; ++mz) out[mz] = background[mz] * drifted;
    out[4] += helium * (1.0 + 0.1 * drift * progress);
    for (const Peak& peak : peaks) {
      // Steep where it begins, slower to fade.
      const double side = temperature < peak.centre ? 1.0 : 1.6;
      const double x = (temperature - peak.centre) / (peak.width * side);
      const double height =
          peak.strength * ExactExp(-0.5 * std::min(x * x, 80.0));
      for (const MassLine& line : MassSpectrum(peak.gas)) {
        out[static_cast<size_t>(line.mz)] += height * line.share;
      }
    }
    return out;
  }
};

void AddReleases(absl::Span<const Release> releases, double amount,
                 Random& random, Chemistry* chemistry) {
  for (const Release& r : releases) {
    chemistry->peaks.push_back(
        {r.gas, r.centre + r.centre_spread * random.Normal(),
         r.width * ExactExp(0.2 * random.Normal()),
         r.strength * amount * ExactExp(0.4 * random.Normal())});
  }
}

Chemistry DrawChemistry(Random& random) {
  Chemistry chemistry;
  const auto minerals = Minerals();
  const auto draw_labels = [&] {
    bool any = false;
    for (size_t m = 0; m < minerals.size(); ++m) {
      chemistry.labels[m] = random.Chance(minerals[m].prevalence) ? 1 : 0;
      any = any || chemistry.labels[m] != 0;
    }
    return any;
  };
  // Samples of nothing known are real, but rarer than chance has them.
  if (!draw_labels() && random.Chance(0.5)) draw_labels();
  for (size_t m = 0; m < minerals.size(); ++m) {
    if (chemistry.labels[m] == 0) continue;
    AddReleases(minerals[m].releases,
                ExactExp(kStrengthSpread * random.Normal()), random,
                &chemistry);
  }
  AddReleases(CommonReleases(), ExactExp(0.5 * random.Normal()), random,
              &chemistry);
  // A trace of a mineral that nobody labelled.
  if (random.Chance(0.5)) {
    const auto other = static_cast<size_t>(
        random.Uniform() * static_cast<double>(minerals.size()));
    AddReleases(minerals[other].releases, random.Uniform(0.0, 0.12), random,
                &chemistry);
  }
  chemistry.helium = random.Uniform(0.5, 5.0);
  chemistry.drift = 0.8 * random.Normal();
  for (double& b : chemistry.background) {
    b = 2e-5 * ExactExp(1.5 * random.Normal());
  }
  // Air and water that the pump leaves.
  for (const auto& [mz, level] : {std::pair<size_t, double>{28, .02},
                                  {14, .002},
                                  {32, .005},
                                  {40, .001},
                                  {18, .01},
                                  {17, .002},
                                  {44, .001},
                                  {2, .002}}) {
    chemistry.background[mz] += level * ExactExp(0.5 * random.Normal());
  }
  return chemistry;
}

// Appends numbers as the real files have them.
class CsvText {
 public:
  CsvText() : text_("time,temp,m/z,abundance\n") {}
  void Row(double time, double temperature, double mz, double abundance,
           bool counts) {
    Fixed(time, 3, ',');
    Fixed(temperature, 3, ',');
    Fixed(mz, 1, ',');
    if (counts) {
      Fixed(abundance, 1, '\n');
    } else {
      Put(std::to_chars(buffer_, buffer_ + sizeof(buffer_), abundance,
                        std::chars_format::scientific, 6),
          '\n');
    }
  }
  std::string Take() { return std::move(text_); }

 private:
  void Fixed(double value, int decimals, char after) {
    Put(std::to_chars(buffer_, buffer_ + sizeof(buffer_), value,
                      std::chars_format::fixed, decimals),
        after);
  }
  void Put(std::to_chars_result result, char after) {
    *result.ptr = after;
    text_.append(buffer_, result.ptr + 1);
  }
  char buffer_[400];
  std::string text_;
};

std::string CommercialCsv(const Chemistry& chemistry, Random& random) {
  CsvText text;
  const double start = random.Uniform(29, 45);
  const double end =
      random.Chance(0.7) ? random.Uniform(930, 1005) : random.Uniform(600, 930);
  const double seconds_a_scan = random.Uniform(8, 13);
  const double gain = kCurrent * ExactExp(0.7 * random.Normal());
  const double floor = 1e-5 * ExactExp(0.5 * random.Normal());
  const double grain = 2e-6 * ExactExp(0.7 * random.Normal());
  for (int scan = 0; scan < kCommercialScans; ++scan) {
    const double progress = scan / (kCommercialScans - 1.0);
    const double temperature =
        start + (end - start) * (progress - 0.02 * progress * (1 - progress)) +
        0.05 * random.Normal();
    const auto abundance = chemistry.At(temperature, progress);
    for (size_t mz = 0; mz < kNumMz; ++mz) {
      // Counting noise, and the amplifier's floor, which goes below zero.
      const double noise = std::sqrt(abundance[mz] * grain) * random.Normal() +
                           floor * random.Normal();
      text.Row(seconds_a_scan * scan, temperature, static_cast<double>(mz),
               gain * (abundance[mz] + noise), /*counts=*/false);
    }
  }
  return text.Take();
}

std::string SamCsv(const Chemistry& chemistry, Random& random) {
  // The masses that a run watches; 17.5 and those from 100 up are not used.
  std::vector<double> watched;
  const bool fractional = random.Chance(0.5);
  for (int mz = 2; mz <= 50; ++mz) {
    if (mz == 4 && random.Chance(0.5)) continue;
    watched.push_back(fractional && mz == 2 ? 1.9 : mz);
  }
  for (const double mz : {17.5, 55.0, 57.0, 64.0, 65.0, 66.0, 70.0, 72.0, 76.0,
                          78.0, 91.0, 105.0, 120.0, 537.0}) {
    watched.push_back(mz);
  }
  CsvText text;
  const double start = random.Chance(0.5) ? 0.0 : random.Uniform(-0.7, 0.0);
  const double end = random.Uniform(900, 1060);
  const double gain = kCounts * ExactExp(0.5 * random.Normal());
  for (int i = 0; i < kSamReadings; ++i) {
    const double progress = i / (kSamReadings - 1.0);
    // The oven waits a little before it heats.
    const double heating = std::max(0.0, (progress - 0.02) / 0.98);
    const double temperature = start + (end - start) * heating +
                               (heating > 0 ? 0.1 : 0.0) * random.Normal();
    const double mz = watched[static_cast<size_t>(i) % watched.size()];
    const auto row = static_cast<size_t>(mz + 0.5);
    // SAM's gas takes time to arrive, and its background is higher.
    const double signal =
        row < kNumMz ? chemistry.At(temperature - 15.0, progress)[row] + 1e-3
                     : 1e-3;
    const double counts = gain * signal;
    const double noisy = counts + std::sqrt(counts) * random.Normal() * 3.0 +
                         100.0 * random.Normal();
    text.Row(0.065 * i, temperature, mz, std::max(0.0, noisy), /*counts=*/true);
  }
  return text.Take();
}

struct Synthesized {
  std::string id;
  bool test = false;
  bool sam = false;
  std::string features_path;
  std::string md5;
  std::array<uint8_t, 16> labels{};
};

absl::Status WriteSample(const std::string& directory, uint64_t seed,
                         uint64_t index, Synthesized* sample) {
  Random random(seed, index);
  const Chemistry chemistry = DrawChemistry(random);
  const std::string csv = sample->sam ? SamCsv(chemistry, random)
                                      : CommercialCsv(chemistry, random);
  sample->labels = chemistry.labels;
  sample->md5 = Md5Hex(csv);
  return WriteFileAtomically(JoinPath(directory, sample->features_path), csv);
}

absl::Status WriteAllSamples(const std::string& directory, uint64_t seed,
                             std::vector<Synthesized>* samples) {
  std::atomic<size_t> next{0};
  absl::Mutex mu;
  absl::Status failed;
  const auto work = [&] {
    while (true) {
      const size_t i = next.fetch_add(1);
      if (i >= samples->size()) return;
      const absl::Status status =
          WriteSample(directory, seed, i, &(*samples)[i]);
      if (status.ok()) continue;
      absl::MutexLock lock(&mu);
      failed.Update(status);
      return;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 1; t < std::thread::hardware_concurrency(); ++t) {
    threads.emplace_back(work);
  }
  work();
  for (std::thread& thread : threads) thread.join();
  return failed;
}

}  // namespace

absl::Status SynthesizeDataset(const std::string& directory,
                               const SynthesisOptions& options) {
  if (options.samples < 0 || options.sam < 0 || options.samples > kMaxSamples ||
      options.sam > kMaxSamples || options.samples + options.sam == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "samples is ", options.samples, " and sam ", options.sam,
        ", expected 0 to ", kMaxSamples, " each and one sample at least"));
  }
  if (FileExists(JoinPath(directory, "metadata.csv"))) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": holds a metadata.csv already; name another folder"));
  }
  for (const char* folder : {"train_features", "test_features"}) {
    FOLDFARM_RETURN_IF_ERROR(MakeDirectories(JoinPath(directory, folder)));
  }
  std::vector<Synthesized> samples;
  for (const bool test : {false, true}) {
    for (const bool sam : {false, true}) {
      const int train = sam ? options.sam : options.samples;
      const int count =
          test ? (train + kTrainToTest - 1) / kTrainToTest : train;
      for (int i = 0; i < count; ++i) {
        Synthesized sample;
        sample.id = absl::StrFormat("S%04d", samples.size());
        sample.test = test;
        sample.sam = sam;
        sample.features_path = absl::StrCat(
            test ? "test_features/" : "train_features/", sample.id, ".csv");
        samples.push_back(std::move(sample));
      }
    }
  }
  FOLDFARM_RETURN_IF_ERROR(WriteAllSamples(directory, options.seed, &samples));

  std::string metadata =
      "sample_id,split,instrument_type,features_path,features_md5_hash\n";
  std::string labels = "sample_id";
  for (const Mineral& mineral : Minerals()) {
    absl::StrAppend(&labels, ",", mineral.label);
  }
  labels += "\n";
  std::string submission = labels;
  for (const Synthesized& sample : samples) {
    absl::StrAppend(&metadata, sample.id, ",", sample.test ? "test" : "train",
                    ",", sample.sam ? kSamTestbed : kCommercial, ",",
                    sample.features_path, ",", sample.md5, "\n");
    std::string& table = sample.test ? submission : labels;
    table += sample.id;
    for (size_t m = 0; m < Minerals().size(); ++m) {
      absl::StrAppend(&table, ",",
                      sample.test             ? "0.5"
                      : sample.labels[m] != 0 ? "1"
                                              : "0");
    }
    table += "\n";
  }
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(
      JoinPath(directory, "submission_format.csv"), submission));
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileAtomically(JoinPath(directory, "train_labels.csv"), labels));
  // Last: a folder that has it is whole.
  return WriteFileAtomically(JoinPath(directory, "metadata.csv"), metadata);
}

}  // namespace foldfarm
