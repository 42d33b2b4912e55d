#include "coordinator/cli/export_trees.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "coordinator/cli/export.h"

namespace foldfarm {
namespace {

// What earlier trainers called the trees of a label, several labels perhaps
// alike.
std::string FormerTreesFile(const std::string& label) {
  std::string text = label;
  for (char& c : text) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') c = '_';
  }
  return absl::StrCat("model-", text, kTreesExtension);
}

}  // namespace

bool AreTreesOfOneLabel(const std::string& name) {
  return absl::EndsWith(name, kTreesExtension) && name != kTrees;
}

std::vector<std::string> LabelsOfFile(const v1::GetJobResponse& job,
                                      const std::string& file,
                                      const std::vector<std::string>& all) {
  std::vector<std::string> labels = LabelsOfModel(job.model(), all);
  if (!job.model().arch().has_xgboost()) return labels;
  std::set<std::string> files;
  for (const v1::ArtifactRef& ref : job.artifacts()) files.insert(ref.name());
  // Backwards: of several labels with one former name, the last one's trees
  // were written over the others'.
  for (size_t place = labels.size(); place-- > 0;) {
    const std::string present = TreesFile(labels[place], place);
    if (file == present ||
        (file == FormerTreesFile(labels[place]) && files.count(present) == 0)) {
      return {labels[place]};
    }
  }
  return labels;
}

}  // namespace foldfarm
