// bundle.json: what a folder that predicts by itself says of itself.
//
// The text is read as it came, and once more with the digest that fits it:
// otherwise nothing that was changed would be looked at.
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_split.h"
#include "common/base/digest.h"
#include "common/base/json_text.h"
#include "common/bundle/bundle.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {
namespace {

void Read(const std::string& json, bool digest_fits) {
  const auto bundle = ParseBundle(json, "bundle.json");
  if (!bundle.ok()) {
    Promise(absl::IsInvalidArgument(bundle.status()) ||
                absl::IsFailedPrecondition(bundle.status()) ||
                (absl::IsDataLoss(bundle.status()) && !digest_fits),
            "an error is the text's", bundle.status().ToString());
    return;
  }
  for (const BundleModel& model : bundle->models) {
    Promise(std::isfinite(model.weight), "a weight is a number", model.name);
    for (const auto& files : model.folds) {
      for (const BundleFile& file : files) {
        Promise(!file.path.empty() && file.path[0] != '/', "a path is relative",
                file.path);
        for (const absl::string_view part : absl::StrSplit(file.path, '/')) {
          Promise(part != "..", "a path stays inside the folder", file.path);
        }
        Promise(file.bytes >= 0, "a size is not negative", file.path);
      }
    }
  }
  const std::string text = BundleToJson(*bundle);
  const auto again = ParseBundle(text, "again");
  Promise(again.ok(), "what was read can be written and read",
          again.status().ToString());
  Promise(BundleToJson(*again) == text, "the same bundle comes back", text);
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  foldfarm::Read(text, /*digest_fits=*/false);
  auto json = foldfarm::ParseOrderedJson(text);
  if (!json.is_object()) return 0;
  json.erase("digest");
  const auto dump = [&] { return foldfarm::JsonText(json); };
  json["digest"] = foldfarm::Sha256Hex(dump());
  foldfarm::Read(dump(), /*digest_fits=*/true);
  return 0;
}
