// Options of an architecture that must fit each other and the image of 100 m/z
// rows x 80 columns.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/sweep/check_model.h"

namespace foldfarm {
namespace {

constexpr int kImageColumns = 80;

// Errors about one architecture, at its options' places.
class ArchChecker {
 public:
  ArchChecker(const char* kind, const OptionPlaces& places, SweepErrors& errors)
      : kind_(kind), places_(places), errors_(errors) {}

  void Add(const char* key, std::string message) {
    errors_.Add(places_.Of({"arch", kind_, key}), std::move(message));
  }
  bool HasOwn(const char* key) const {
    return places_.HasOwn({"arch", kind_, key});
  }

  // `what` must be divided by `divisor` without a rest.
  void Divides(const char* key, int value, const char* divisor_key,
               int divisor) {
    if (divisor < 1 || value % divisor == 0) return;
    Add(key, absl::StrCat(key, " is ", value, ", expected a multiple of ",
                          divisor_key, ", ", divisor));
  }

  void HasSize(const char* key, int size, int expected,
               const char* of = "one for each stage") {
    if (size == expected) return;
    Add(key, absl::StrCat(key, " has ", size, " numbers, expected ", expected,
                          ", ", of));
  }

  void IsOdd(const char* key, int value) {
    if (value % 2 == 1) return;
    Add(key, absl::StrCat(key, " is ", value, ", expected an odd number"));
  }

 private:
  const char* const kind_;
  const OptionPlaces& places_;
  SweepErrors& errors_;
};

void Check(const v1::ResnetSpec& resnet, ArchChecker check) {
  if (resnet.layers_size() != resnet.widths_size()) {
    check.Add(
        "layers",
        absl::StrCat("layers has ", resnet.layers_size(), " stages and widths ",
                     resnet.widths_size(), ", expected as many"));
  }
  if (resnet.stem_stride_size() != 2) {
    check.Add("stem_stride",
              absl::StrCat("stem_stride has ", resnet.stem_stride_size(),
                           " numbers, expected two: over m/z and over "
                           "temperature"));
  }
}

void Check(const v1::SeresnextSpec& net, ArchChecker check) {
  if (net.layers_size() != net.planes_size()) {
    check.Add("layers", absl::StrCat("layers has ", net.layers_size(),
                                     " stages and planes ", net.planes_size(),
                                     ", expected as many"));
  }
  for (const int planes : net.planes()) {
    if (planes * net.base_width() >= 64) continue;
    check.Add("planes",
              absl::StrCat("planes has ", planes, ", which with base_width ",
                           net.base_width(),
                           " leaves a group no channel; expected planes x "
                           "base_width to be 64 or more"));
    break;
  }
}

void Check(const v1::DpnSpec& dpn, ArchChecker check) {
  constexpr int kStages = 4;
  check.HasSize("layers", dpn.layers_size(), kStages);
  check.HasSize("increments", dpn.increments_size(), kStages);
  check.Divides("bottleneck", dpn.bottleneck(), "groups", dpn.groups());
}

void Check(const v1::Vit1dSpec& vit, ArchChecker check) {
  check.Divides("dim", vit.dim(), "heads", vit.heads());
}

void Check(const v1::VitSpec& vit, ArchChecker check) {
  check.Divides("dim", vit.dim(), "heads", vit.heads());
  if (vit.patch() > 0 && kImageColumns % vit.patch() != 0) {
    check.Add("patch", absl::StrCat("patch is ", vit.patch(),
                                    ", expected a divisor of the image's ",
                                    kImageColumns,
                                    " columns: 1, 2, 4, 5, 8, 10, 16, "
                                    "20, 40 or 80"));
  }
}

void Check(const v1::Conv1dSpec& net, ArchChecker check) {
  check.IsOdd("kernel", net.kernel());
  check.IsOdd("stem_kernel", net.stem_kernel());
}

// What tables of features are made of, for `kind`.features.
void CheckFeatures(const v1::BandFeaturesSpec& features,
                   const v1::RepresentationSpec& image, ArchChecker& check) {
  if (!features.maximum() && !features.area() && !features.position() &&
      !features.width()) {
    check.Add("features",
              "features has none of maximum, area, position and width, "
              "expected one at least");
  }
  // As the trainer cuts them: whole columns, from one to all.
  std::map<double, double> first_of;
  for (const double band : features.bands()) {
    const double columns = std::clamp(std::round(band / image.temp_step()), 1.0,
                                      static_cast<double>(kImageColumns));
    const auto [first, is_new] = first_of.emplace(columns, band);
    if (is_new) continue;
    check.Add(
        "features",
        absl::StrCat("bands has ", band, " and ", first->second,
                     " degrees C, both ", columns, " columns of temp_step ",
                     image.temp_step(), "; expected different widths"));
  }
}

void Check(const v1::TabnetSpec& tabnet, const ModelToCheck& model,
           ArchChecker check) {
  CheckFeatures(tabnet.features(), model.complete.representation(), check);
  if (tabnet.shared_layers() + tabnet.step_layers() == 0) {
    check.Add("shared_layers",
              "shared_layers and step_layers are 0, expected one layer at "
              "least");
  }
  const int batch = model.complete.train().batch();
  if (batch < 2) {
    check.Add("virtual_batch",
              absl::StrCat("train.batch is ", batch,
                           ", expected at least 2: tabnet normalizes over "
                           "samples"));
  } else if (check.HasOwn("virtual_batch") && tabnet.virtual_batch() > batch) {
    check.Add("virtual_batch",
              absl::StrCat("virtual_batch is ", tabnet.virtual_batch(),
                           ", expected at most train.batch, ", batch));
  }
}

void Check(const v1::XgboostSpec& trees, const ModelToCheck& model,
           ArchChecker check) {
  CheckFeatures(trees.features(), model.complete.representation(), check);
  const v1::XgboostSpec& written = model.written.arch().xgboost();
  if (trees.growth() == v1::TREE_GROWTH_DEPTHWISE && trees.max_depth() == 0) {
    check.Add("max_depth",
              "max_depth is 0 (no limit), expected 1 or more with growth: "
              "depthwise");
  }
  if (trees.growth() == v1::TREE_GROWTH_LOSSGUIDE && trees.max_depth() == 0 &&
      trees.max_leaves() == 0) {
    check.Add("max_leaves",
              "max_leaves and max_depth are 0 (no limit), expected a limit on "
              "one of them");
  }
  if (trees.max_leaves() == 1) {
    check.Add("max_leaves",
              "max_leaves is 1, expected 0 (no limit) or 2 and "
              "more");
  }
  if (written.growth() == v1::TREE_GROWTH_DEPTHWISE &&
      written.max_leaves() != 0 && check.HasOwn("max_leaves")) {
    check.Add("max_leaves",
              "max_leaves has no effect with growth depthwise, expected "
              "growth: lossguide");
  }
  for (const char* key : {"rate_drop", "skip_drop"}) {
    if (written.booster() == v1::TREE_BOOSTER_DART || !check.HasOwn(key)) {
      continue;
    }
    check.Add(key, absl::StrCat(key,
                                " has no effect with booster gbtree, "
                                "expected booster: dart"));
  }
}

void Check(const v1::ExecSpec& exec, ArchChecker check) {
  if (exec.command().empty()) {
    check.Add("command",
              "missing key 'command' in arch.exec, expected a program and its "
              "arguments, such as [python3, train.py]");
  } else if (exec.command(0).empty()) {
    check.Add("command",
              "command begins with \"\", expected a program and its "
              "arguments, such as [python3, train.py]");
  }
  std::set<std::string> names;
  for (const std::string& file : exec.files()) {
    const absl::Status status = CheckUserFileName(file);
    if (!status.ok()) {
      check.Add("files",
                absl::StrCat("files: ", std::string(status.message())));
    } else if (!names.insert(file).second) {
      check.Add("files", absl::StrCat("files has \"", file,
                                      "\" twice, expected each once"));
    }
  }
}

}  // namespace

void CheckArch(const ModelToCheck& model, const OptionPlaces& places,
               SweepErrors& errors) {
  const v1::ArchSpec& arch = model.complete.arch();
  const auto checker = [&](const char* kind) {
    return ArchChecker(kind, places, errors);
  };
  switch (arch.kind_case()) {
    case v1::ArchSpec::kResnet:
      return Check(arch.resnet(), checker("resnet"));
    case v1::ArchSpec::kSeresnext:
      return Check(arch.seresnext(), checker("seresnext"));
    case v1::ArchSpec::kDpn:
      return Check(arch.dpn(), checker("dpn"));
    case v1::ArchSpec::kVit1D:
      return Check(arch.vit1d(), checker("vit1d"));
    case v1::ArchSpec::kVit:
      return Check(arch.vit(), checker("vit"));
    case v1::ArchSpec::kConv1D:
      return Check(arch.conv1d(), checker("conv1d"));
    case v1::ArchSpec::kTabnet:
      return Check(arch.tabnet(), model, checker("tabnet"));
    case v1::ArchSpec::kXgboost:
      return Check(arch.xgboost(), model, checker("xgboost"));
    case v1::ArchSpec::kExec:
      return Check(arch.exec(), checker("exec"));
    case v1::ArchSpec::kRnn:
    case v1::ArchSpec::kEfficientnet:
    case v1::ArchSpec::kNone:
    case v1::ArchSpec::KIND_NOT_SET:
      return;
  }
}

}  // namespace foldfarm
