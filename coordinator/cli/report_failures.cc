// What failed; see report_sections.h.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

constexpr int kLogLines = 20;

bool EndedBadly(const v1::Attempt& attempt) {
  return attempt.state() == v1::Attempt::FAILED ||
         attempt.state() == v1::Attempt::LOST ||
         attempt.state() == v1::Attempt::PREEMPTED ||
         attempt.state() == v1::Attempt::CANCELLED;
}

std::vector<HtmlCell> AttemptCells(const std::string& first,
                                   const v1::Attempt& attempt,
                                   absl::Time made) {
  const absl::Time start = ToTime(attempt.start_time());
  const absl::Time end =
      attempt.has_end_time() ? ToTime(attempt.end_time()) : made;
  return {first,
          StateName(attempt.state()),
          attempt.worker(),
          attempt.device(),
          HumanDuration(end - start),
          absl::StrCat(attempt.resumed_epoch()),
          AttemptEnd(attempt),
          attempt.error()};
}

std::vector<HtmlColumn> AttemptColumns(const std::string& first) {
  return {{first},    {"State"},      {"Worker"},
          {"Device"}, {"Took", true}, {"From epoch", true},
          {"End"},    {"Error"}};
}

// A job that was given up: its attempts and the last lines of its log.
std::string GivenUp(const JobRecord& job, absl::Time made) {
  std::string html;
  HtmlTable attempts(absl::StrCat("Attempts of ", job.details.job().name()),
                     AttemptColumns("Attempt"));
  const v1::Attempt* tail = nullptr;
  for (const v1::Attempt& attempt : job.details.attempts()) {
    attempts.AddRow(
        AttemptCells(absl::StrCat(attempt.number()), attempt, made));
    if (!attempt.log_tail().empty()) tail = &attempt;
  }
  if (!attempts.empty()) html += attempts.Render("compact");
  if (tail != nullptr) {
    const int skip = std::max(0, tail->log_tail_size() - kLogLines);
    html +=
        absl::StrCat(Paragraph(absl::StrCat("Last lines of the log of attempt ",
                                            tail->number(), ":"),
                               "quiet"),
                     "<pre>",
                     EscapeHtml(absl::StrJoin(tail->log_tail().begin() + skip,
                                              tail->log_tail().end(), "\n")),
                     "</pre>\n");
  }
  return html;
}

}  // namespace

std::string FailuresSection(const ReportData& data) {
  HtmlTable jobs("Jobs that have no result", {{"Job"},
                                              {"State"},
                                              {"Epochs", true},
                                              {"Attempts", true},
                                              {"Failed", true},
                                              {"Lost", true},
                                              {"Why"}});
  HtmlTable early("Attempts that ended early; their jobs went on",
                  AttemptColumns("Job, attempt"));
  std::string details;
  for (const JobRecord& one : data.jobs) {
    const v1::Job& job = one.details.job();
    const bool given_up =
        job.state() == v1::Job::FAILED || job.state() == v1::Job::CANCELLED;
    const std::string& why =
        job.error().empty() ? job.waiting_reason() : job.error();
    if (given_up || !job.waiting_reason().empty()) {
      jobs.AddRow(
          {job.name(), StateName(job.state()),
           absl::StrCat(job.epoch(), " of ", job.epochs()),
           absl::StrCat(job.attempt_count()), absl::StrCat(job.failed_count()),
           absl::StrCat(job.lost_count()), why},
          job.state() == v1::Job::FAILED ? "wrong" : "");
    }
    if (given_up) {
      const std::string html = GivenUp(one, data.made);
      if (!html.empty()) {
        details += absl::StrCat(Subheading(job.name()), html);
      }
      continue;
    }
    for (const v1::Attempt& attempt : one.details.attempts()) {
      if (!EndedBadly(attempt)) continue;
      early.AddRow(
          AttemptCells(absl::StrCat(job.name(), ", ", attempt.number()),
                       attempt, data.made));
    }
  }
  std::string html;
  if (!jobs.empty()) html += jobs.Render();
  html += details;
  if (!early.empty()) html += early.Render("compact");
  if (html.empty()) {
    html =
        Paragraph(data.preliminary() ? "Nothing so far: no attempt ended early."
                                     : "Nothing: every attempt succeeded.");
  }
  return Section("failures", "What failed", html);
}

}  // namespace foldfarm
