// Sweep files: parsing, checking and expanding, with --set and a fold file.
//
// Input: the YAML; after a zero byte the --set options, one a line; after
// another one the text of the fold file.
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/sweep/sweep.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {
namespace {

void Run(const std::string& yaml, const std::string& sets,
         const std::string& folds) {
  const auto read_folds =
      [&](const std::string&) -> absl::StatusOr<std::string> { return folds; };
  std::vector<std::string> options;
  if (!sets.empty()) options = absl::StrSplit(sets, '\n');
  const auto spec = ParseSweep(yaml, "fuzz.yaml", read_folds, options);
  if (!spec.ok()) {
    PromiseInvalid(spec.status());
    return;
  }
  Promise(spec->models_size() > 0, "a sweep that was taken has models");
  Promise(FoldCount(spec->folds()) > 0, "a sweep that was taken has folds");
  Promise(!spec->has_defaults(), "a sweep that was taken is expanded");
  for (const v1::ModelSpec& model : spec->models()) {
    Promise(model.like().empty(), "a model that was taken is expanded",
            model.name());
    Promise(!ModelToJson(model).empty(), "a model has a text", model.name());
  }
  const auto again = ParseSweep(yaml, "fuzz.yaml", read_folds, options);
  Promise(again.ok() && again->SerializeAsString() == spec->SerializeAsString(),
          "the same text is the same sweep", yaml);
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = foldfarm::SplitInput(data, size, 3);
  foldfarm::Run(parts[0], parts[1], parts[2]);
  const auto folds = foldfarm::ParseFoldFile(parts[2], "folds.csv");
  if (!folds.ok()) foldfarm::PromiseInvalid(folds.status());
  return 0;
}
