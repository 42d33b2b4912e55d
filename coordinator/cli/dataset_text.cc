#include "coordinator/cli/dataset_text.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/table.h"

namespace foldfarm {
namespace {

using Align = Column::Align;

}  // namespace

std::string DatasetsText(const v1::ListDatasetsResponse& reply, absl::Time now,
                         size_t width, bool colour) {
  if (reply.datasets().empty()) {
    return "No datasets. Import one: foldfarm dataset import DIR --name NAME\n";
  }
  Table table({{"DATASET", Align::kLeft, true},
               {"SAMPLES", Align::kRight},
               {"LABELS", Align::kRight},
               {"SIZE", Align::kRight},
               {"DIGEST"},
               {"CREATED", Align::kLeft, false, 0, true}});
  for (const v1::Dataset& dataset : reply.datasets()) {
    int64_t samples = 0;
    for (const v1::SampleCount& count : dataset.counts()) {
      samples += count.samples();
    }
    table.AddRow({dataset.name(), FormatCount(samples),
                  absl::StrCat(dataset.labels_size()),
                  FormatBytes(dataset.size_bytes()),
                  ShortDigest(dataset.digest()),
                  FormatRelative(ToTime(dataset.create_time()), now)});
  }
  return table.Render(width, colour);
}

std::string DatasetText(const v1::Dataset& dataset, size_t width, bool colour) {
  std::string text = absl::StrCat(Heading(dataset.name(), colour), "  ",
                                  FormatBytes(dataset.size_bytes()),
                                  "\nSHA-256 ", dataset.digest(), "\n\n");
  Table counts({{"SPLIT"}, {"INSTRUMENT"}, {"SAMPLES", Align::kRight}});
  for (const v1::SampleCount& count : dataset.counts()) {
    counts.AddRow(
        {count.split(), count.instrument_type(), FormatCount(count.samples())});
  }
  absl::StrAppend(&text, counts.Render(width, colour));
  if (!dataset.labels().empty()) {
    Table labels({{"LABEL", Align::kLeft, true},
                  {"SAMPLES", Align::kRight},
                  {"PREVALENCE", Align::kRight}});
    for (const v1::LabelPrevalence& label : dataset.labels()) {
      labels.AddRow({label.label(), FormatCount(label.positive()),
                     FormatPercent(static_cast<double>(label.positive()) /
                                   label.samples())});
    }
    absl::StrAppend(&text, "\n", labels.Render(width, colour));
  }
  return text;
}

}  // namespace foldfarm
