#include "coordinator/cli/model_card.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/json_text.h"
#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

// "conv1d" of {"arch": {"conv1d": {...}}}.
std::string ArchOf(const std::string& model_json) {
  const auto json = ParseJson(model_json);
  if (!json.is_object() || !json.contains("arch")) return "";
  const auto& arch = json["arch"];
  return arch.is_object() && !arch.empty() ? arch.begin().key() : "";
}

std::string Row(const std::vector<std::string>& cells) {
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

int64_t BytesOf(const Bundle& bundle) {
  int64_t bytes = 0;
  for (const BundleModel& model : bundle.models) {
    for (const auto& fold : model.folds) {
      for (const BundleFile& file : fold) bytes += file.bytes;
    }
  }
  return bytes;
}

size_t NetworksOf(const Bundle& bundle) {
  size_t count = 0;
  for (const BundleModel& model : bundle.models) count += model.folds.size();
  return count;
}

void AddFigures(const BundleFigures& figures, std::string& card) {
  absl::StrAppend(
      &card,
      "## Figures\n\nAll are out of fold: every sample was predicted by the "
      "networks that did not see it.\nLog loss is the mean binary "
      "cross-entropy over samples and labels, in nats, of probabilities\n"
      "shrunk by 0.002; lower is better.\n\n",
      Row({"", "log loss", "accuracy", "samples"}),
      Row({"---", "---", "---", "---"}));
  const auto row = [&](const std::string& name, const OofScores& scores) {
    card += Row({name, FormatScore(scores.log_loss_shrink_0002),
                 FormatPercent(scores.accuracy), absl::StrCat(scores.samples)});
  };
  row("**this bundle**", figures.ensemble);
  for (const NamedScores& one : figures.instruments) {
    row(absl::StrCat("on ", one.name), one.scores);
  }
  for (const NamedScores& one : figures.models) {
    row(absl::StrCat("model ", one.name), one.scores);
  }
  absl::StrAppend(&card, "\n", Row({"label", "log loss", "samples with it"}),
                  Row({"---", "---", "---"}));
  for (const BundleFigures::Label& label : figures.labels) {
    card += Row({label.name, FormatScore(label.log_loss),
                 absl::StrCat(label.positive)});
  }
}

void AddUse(const Bundle& bundle, const std::string& directory,
            std::string& card) {
  absl::StrAppend(
      &card,
      "## What it is for\n\nIt says how likely each label is for a sample of "
      "evolved gas analysis: a mass spectrometer's\nion abundances while the "
      "sample is heated from about 30 to 1000 °C. Input is a features file "
      "(CSV:\ntime, temp, m/z, abundance).\n\nIt learned from the instruments "
      "above, in the proportions above. It knows nothing of other\n"
      "instruments, heating programs, carrier gases or minerals; what it never "
      "saw it may call anything. It\nlooks at m/z 0 to 99 between 28 and "
      "1000 °C; a sample that covers little of that is predicted with a\n"
      "warning. Probabilities are for ranking and for a first reading, not for "
      "a decision that nobody checks:\n`foldfarm explain` shows which ions and "
      "temperatures they rest on.\n\n"
      "## How to use it\n\n```\nfoldfarm-trainer predict ",
      directory, " sample.csv\nfoldfarm-trainer predict ", directory,
      " folder/ --json\nfoldfarm explain ", directory, " sample.csv --label ",
      bundle.labels.front(),
      " --out why.png\n```\n\nNo farm and no network are needed. ", bundle.tta,
      " draws of every sample by ", NetworksOf(bundle),
      " networks are averaged; the digests\nbelow are checked first.\n\n");
}

}  // namespace

std::string ModelCard(const Bundle& bundle, const BundleFigures& figures,
                      const v1::Dataset& dataset, const BundlePlan& plan,
                      const std::string& weights,
                      const std::string& directory) {
  std::string card = absl::StrCat(
      "# ", bundle.name, "\n\nA bundle of ",
      FormatPlural(static_cast<int64_t>(bundle.models.size()), "model"),
      ", one network a fold: ",
      FormatPlural(static_cast<int64_t>(NetworksOf(bundle)), "network"), ", ",
      FormatBytes(BytesOf(bundle)), ". Made by ", bundle.program,
      " from sweep ", bundle.sweep_id, " (", bundle.sweep_name, ").\n\n");
  absl::StrAppend(&card, "Labels: ", absl::StrJoin(bundle.labels, ", "),
                  ".\n\n");
  AddFigures(figures, card);
  if (plan.greedy || weights != "equal") {
    absl::StrAppend(
        &card, "\n", plan.greedy ? "The models were chosen" : "",
        plan.greedy && weights != "equal" ? " and " : "",
        weights != "equal"
            ? absl::StrCat(plan.greedy ? "weighed" : "The models were weighed",
                           " (", weights, ")")
            : "",
        " by these same out-of-fold predictions, so the bundle's own figure is "
        "a little\ntoo good; those of single models are not.\n");
  }
  absl::StrAppend(
      &card, "\n## Data\n\nDataset ", bundle.dataset_name, ", SHA-256 `",
      bundle.dataset_digest, "`, preparation version ", bundle.preparation,
      ", ", FormatPlural(figures.folds, "fold"), ":\n\n",
      Row({"split", "instrument", "samples"}), Row({"---", "---", "---"}));
  for (const v1::SampleCount& count : dataset.counts()) {
    card += Row({count.split(), count.instrument_type(),
                 absl::StrCat(count.samples())});
  }
  std::vector<std::string> shrink;
  for (const auto& [instrument, c] : bundle.shrink) {
    shrink.push_back(absl::StrFormat("%g on %s", c, instrument));
  }
  absl::StrAppend(&card,
                  "\nProbabilities are shrunk, p (1 - 2c) + c, with c = ",
                  absl::StrJoin(shrink, ", "), ".\n\n");
  AddUse(bundle, directory, card);
  absl::StrAppend(&card, "## Models\n\n",
                  Row({"model", "architecture", "weight", "labels"}),
                  Row({"---", "---", "---", "---"}));
  for (const BundleModel& model : bundle.models) {
    card += Row({model.name, ArchOf(model.model_json),
                 absl::StrFormat("%.4f", model.weight),
                 model.labels.size() == bundle.labels.size()
                     ? "all"
                     : absl::StrJoin(model.labels, ", ")});
  }
  absl::StrAppend(&card, "\n## Digests\n\n", Row({"file", "bytes", "SHA-256"}),
                  Row({"---", "---", "---"}));
  for (const BundleModel& model : bundle.models) {
    for (const auto& fold : model.folds) {
      for (const BundleFile& file : fold) {
        card += Row({file.path, absl::StrCat(file.bytes),
                     absl::StrCat("`", file.digest, "`")});
      }
    }
  }
  return card;
}

}  // namespace foldfarm
