// What was run, with what; see report_sections.h.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"
#include "coordinator/cli/sweep_text.h"

namespace foldfarm {
namespace {

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return TimeText(ToTime(time));
}

std::string FactsTable(const ReportData& data) {
  const v1::Sweep& sweep = data.sweep;
  HtmlTable table("The sweep", {{"What"}, {"Value"}});
  table.AddRow({"sweep", absl::StrCat(sweep.id(), " (", sweep.name(), ")")});
  table.AddRow({"state", StateName(sweep.state())});
  table.AddRow({"submitted", TimeText(sweep.create_time())});
  if (sweep.has_end_time()) {
    table.AddRow({"ended", TimeText(sweep.end_time())});
    table.AddRow(
        {"from submission to end", HumanDuration(ToTime(sweep.end_time()) -
                                                 ToTime(sweep.create_time()))});
  }
  table.AddRow({"report made", TimeText(data.made)});
  table.AddRow(
      {"models x folds", absl::StrCat(sweep.models(), " x ", sweep.folds())});
  table.AddRow({"dataset", data.dataset.name()});
  table.AddRow({"its SHA-256", HtmlCell(data.dataset.digest(), "code")});
  table.AddRow({"its size", FormatBytes(data.dataset.size_bytes())});
  table.AddRow({"imported", TimeText(data.dataset.create_time())});
  table.AddRow({"foldfarm that made this report", data.version});
  return table.Render("facts");
}

std::string SamplesTable(const v1::Dataset& dataset) {
  if (dataset.counts().empty()) return "";
  HtmlTable table("Samples of the dataset",
                  {{"Split"}, {"Instrument"}, {"Samples", true}});
  for (const v1::SampleCount& count : dataset.counts()) {
    table.AddRow(
        {count.split(), count.instrument_type(), FormatCount(count.samples())});
  }
  return table.Render();
}

std::string LabelsTable(const v1::Dataset& dataset) {
  if (dataset.labels().empty()) return "";
  HtmlTable table("Labels of the dataset",
                  {{"Label"}, {"Present", true}, {"Share", true}});
  for (const v1::LabelPrevalence& label : dataset.labels()) {
    table.AddRow({label.label(),
                  absl::StrCat(FormatCount(label.positive()), " of ",
                               FormatCount(label.samples())),
                  label.samples() == 0
                      ? "-"
                      : FormatPercent(static_cast<double>(label.positive()) /
                                      label.samples())});
  }
  return table.Render();
}

std::string WorkersTable(const ReportData& data) {
  if (data.workers.empty()) return "";
  std::set<std::string> took_part;
  for (const JobRecord& job : data.jobs) {
    for (const v1::Attempt& attempt : job.attempts) {
      took_part.insert(attempt.worker());
    }
  }
  HtmlTable table("Workers that ran attempts of the sweep, as they are now",
                  {{"Worker"},
                   {"Version"},
                   {"Host"},
                   {"Devices"},
                   {"Slots", true},
                   {"Started"}});
  for (const v1::Worker& worker : data.workers) {
    if (took_part.count(worker.name()) == 0) continue;
    table.AddRow({worker.name(), worker.version(), worker.host(),
                  absl::StrJoin(worker.devices(), ", "),
                  absl::StrCat(worker.slots()), TimeText(worker.start_time())});
  }
  return table.empty() ? "" : table.Render();
}

// The digest of a job's weights, or of the first other file of its result.
std::string DigestOf(const v1::GetJobResponse& job) {
  const v1::ArtifactRef* best = nullptr;
  for (const v1::ArtifactRef& ref : job.artifacts()) {
    if (ref.name() == kWeightsFile) return ref.digest();
    if (best == nullptr && ref.name() != kOofFile) best = &ref;
  }
  return best == nullptr ? "" : absl::StrCat(best->name(), " ", best->digest());
}

std::string JobsTable(const ReportData& data) {
  HtmlTable table("Jobs, and the SHA-256 of their weights", {{"Job"},
                                                             {"State"},
                                                             {"Epochs", true},
                                                             {"Log loss", true},
                                                             {"Attempts", true},
                                                             {"Worker, device"},
                                                             {"Weights"}});
  for (const JobRecord& one : data.jobs) {
    const v1::Job& job = one.details.job();
    const std::string device =
        one.attempts.empty() ? ""
                             : absl::StrCat(", ", one.attempts.back().device());
    table.AddRow({job.name(), StateName(job.state()),
                  absl::StrCat(job.epoch(), " of ", job.epochs()),
                  job.has_log_loss() ? FormatScore(job.log_loss()) : "-",
                  absl::StrCat(job.attempt_count()),
                  job.reused_from().empty()
                      ? absl::StrCat(job.worker(), device)
                      : absl::StrCat("from ", job.reused_from()),
                  HtmlCell(DigestOf(one.details), "code")});
  }
  return table.Render("compact");
}

// Jobs that were trained otherwise than the sweep file says.
std::string ChangedTable(const ReportData& data) {
  HtmlTable table("Jobs that were retried with other options",
                  {{"Job"}, {"Option"}, {"Value"}, {"In the sweep file"}});
  for (const JobRecord& one : data.jobs) {
    for (const ChangedOption& option :
         ChangedOptions(one.details, data.sweep.spec())) {
      table.AddRow({one.details.job().name(), HtmlCell(option.name, "code"),
                    HtmlCell(option.now, "code"),
                    HtmlCell(option.before, "code")});
    }
  }
  return table.empty() ? "" : table.Render();
}

}  // namespace

std::string ConfigurationSection(const ReportData& data) {
  return Section(
      "configuration", "Configuration, digests, versions",
      absl::StrCat("<div class=\"columns\">", FactsTable(data), "<div>",
                   SamplesTable(data.dataset), LabelsTable(data.dataset),
                   "</div></div>\n", Subheading("The sweep file"),
                   Paragraph("Every option of every model: what most say alike "
                             "stands under defaults, what differs with the "
                             "model.",
                             "quiet"),
                   "<pre>", EscapeHtml(SweepText(data.sweep.spec())),
                   "</pre>\n", ChangedTable(data), WorkersTable(data),
                   JobsTable(data)));
}

}  // namespace foldfarm
