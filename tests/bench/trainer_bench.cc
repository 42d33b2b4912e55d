// How many images a second each architecture trains on, rendering included.
//
//   trainer_bench [--arch NAME] [--threads N] [--seconds S] [--device D]
//
// Full-size networks at the recipe's batch sizes, fp32 and bf16, on made
// spectra of the real ones' size; and the renderer alone. Prints one line each:
// name, precision, images/s.
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "tests/worker/render/made_dataset.h"
#include "worker/models/model.h"
#include "worker/render/renderer.h"
#include "worker/training/torch_setup.h"
#include "worker/training/training_run.h"

namespace foldfarm {
namespace {

struct Case {
  const char* name;
  int batch;
  double temp_query_range;
  ArchOptions arch;
};

std::vector<Case> Cases() {
  ResnetOptions cls3;
  cls3.form = ClassifierForm::kSimpleCls3;
  ResnetOptions tiny;
  tiny.layers = {2, 2, 2, 2};
  tiny.widths = {16, 32, 64, 128};
  RnnOptions lstm;
  lstm.cell = RnnCell::kLstm;
  return {{"resnet34_cls", 8, 16, ResnetOptions()},
          {"resnet34_cls3", 8, 16, cls3},
          {"gru", 8, 12, RnnOptions()},
          {"lstm", 8, 12, lstm},
          {"vit1d", 16, 12, Vit1dOptions()},
          {"vit", 8, 16, VitOptions()},
          {"seresnext50", 8, 16, SeresnextOptions()},
          {"dpn68b", 8, 16, DpnOptions()},
          {"efficientnet", 8, 16, EfficientnetOptions()},
          {"resnet_tiny", 32, 16, tiny},
          {"conv1d", 32, 12, Conv1dOptions()}};
}

struct BenchOptions {
  std::string arch;
  std::string device = "cpu";
  int threads = 2;
  double seconds = 10;
};

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "trainer_bench: %s\n",
               std::string(status.message()).c_str());
  std::exit(1);
}

std::unique_ptr<Renderer> MakeRenderer(const PreparedDataset& dataset,
                                       const RenderOptions& options,
                                       const std::string& device) {
  const auto num_samples = static_cast<int>(dataset.num_samples());
  auto renderer = Renderer::Create(dataset, MadeSampleIds(0, num_samples),
                                   num_samples, options, device);
  Require(renderer.status());
  return *std::move(renderer);
}

// Epochs of `batches` batches until the time is up; the best one counts, since
// whatever else runs on the machine only slows.
double TrainImagesPerSecond(const Case& bench_case, Precision precision,
                            const BenchOptions& options) {
  constexpr int kBatches = 4;
  MadeDatasetOptions made;
  made.num_samples = kBatches * bench_case.batch;
  made.num_labels = 10;
  made.min_scans = 100;
  made.max_scans = 320;
  const auto dataset = MakeDataset(made);
  RenderOptions render;
  render.temp_query_range = bench_case.temp_query_range;
  const auto renderer = MakeRenderer(*dataset, render, options.device);
  SeedWeights(1);
  TrainingInput input;
  auto model = BuildModel(bench_case.arch, made.num_labels);
  Require(model.status());
  input.model = *model;
  input.renderer = renderer.get();
  input.num_train = made.num_samples;
  input.options.epochs = 1 << 20;
  input.options.batch = bench_case.batch;
  input.options.precision = precision;
  input.device = options.device;
  input.clock = &Clock::Real();
  auto run = TrainingRun::Create(std::move(input));
  Require(run.status());
  const absl::Time end = Clock::Real().Now() + absl::Seconds(options.seconds);
  double best = 0;
  do {
    const auto metrics = (*run)->TrainEpoch([] { return false; });
    Require(metrics.status());
    best = std::max(best, metrics->at("samples_per_second"));
  } while (Clock::Real().Now() < end);
  return best;
}

double RenderImagesPerSecond(const BenchOptions& options,
                             const RenderOptions& render) {
  MadeDatasetOptions made;
  made.num_samples = 256;
  made.sam_every = 64;
  made.min_scans = 100;
  made.max_scans = 320;
  const auto dataset = MakeDataset(made);
  const auto renderer = MakeRenderer(*dataset, render, options.device);
  const at::Tensor positions =
      at::arange(32, at::dtype(at::kLong)).to(at::Device(options.device));
  const absl::Duration begin = Clock::Real().Monotonic();
  int64_t images = 0;
  double seconds = 0;
  do {
    at::Tensor image, labels;
    for (int i = 0; i < 20; ++i) {
      renderer->Draw(positions, DrawMode::kTrain, image, labels);
      images += positions.size(0);
    }
    // Waits for the device.
    static_cast<void>(image.sum().item<float>());
    seconds = absl::ToDoubleSeconds(Clock::Real().Monotonic() - begin);
  } while (seconds < options.seconds / 4);
  return static_cast<double>(images) / seconds;
}

int Main(int argc, char** argv) {
  BenchOptions options;
  for (int i = 1; i < argc; i += 2) {
    const absl::string_view flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value != nullptr && flag == "--arch") {
      options.arch = value;
    } else if (value != nullptr && flag == "--device") {
      options.device = value;
    } else if (value != nullptr && flag == "--threads") {
      options.threads = std::atoi(value);
    } else if (value != nullptr && flag == "--seconds") {
      options.seconds = std::atof(value);
    } else {
      std::fprintf(stderr,
                   "Measures rendering and training.\n"
                   "Usage: trainer_bench [--arch NAME|render] [--device cpu] "
                   "[--threads N] [--seconds S]\n"
                   "Without --arch: all of them.\n");
      return flag == "--help" || flag == "-h" ? 0 : 2;
    }
  }
  ConfigureTorch(options.threads, options.device);
  std::printf("device %s, %d threads\n", options.device.c_str(),
              options.threads);
  if (options.arch.empty() || options.arch == "render") {
    RenderOptions plain, full, sam;
    full.mix_prob = 0.25;
    full.sub_bg_prob = 0.5;
    sam.sam_augment.prob = 1;  // Of every commercial sample.
    std::printf("%-14s %-5s %8.0f images/s\n", "render", "",
                RenderImagesPerSecond(options, plain));
    std::printf("%-14s %-5s %8.0f images/s\n", "render_full", "",
                RenderImagesPerSecond(options, full));
    std::printf("%-14s %-5s %8.0f images/s\n", "render_sam", "",
                RenderImagesPerSecond(options, sam));
  }
  for (const Case& bench_case : Cases()) {
    if (!options.arch.empty() && options.arch != bench_case.name) continue;
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      std::printf("%-14s %-5s %8.1f images/s\n", bench_case.name,
                  precision == Precision::kFp32 ? "fp32" : "bf16",
                  TrainImagesPerSecond(bench_case, precision, options));
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Main(argc, argv); }
