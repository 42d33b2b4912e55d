// jobs, job, logs, metrics, and with them the commands about workers.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_context.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/job_records.h"
#include "coordinator/cli/metrics_table.h"
#include "coordinator/cli/reconnection.h"
#include "coordinator/cli/sweep_text.h"
#include "coordinator/cli/worker_commands.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Align = Column::Align;

// From the start of the newest attempt to its end, or to now.
std::string TimeOf(const v1::Job& job, absl::Time now) {
  if (!job.has_start_time()) return "-";
  const absl::Time end = job.has_end_time() ? ToTime(job.end_time())
                         : job.state() == v1::Job::RUNNING
                             ? now
                             : absl::InfinitePast();
  return HumanDuration(end - ToTime(job.start_time()));
}

// Of an attempt, up to its end or to now.
absl::Duration Took(const v1::Attempt& attempt, absl::Time now) {
  const absl::Time end =
      attempt.has_end_time() ? ToTime(attempt.end_time()) : now;
  return end - ToTime(attempt.start_time());
}

// "10s", or of all attempts together "10s in 4 attempts".
std::string TimeOfAll(const v1::GetJobResponse& reply, absl::Time now) {
  // A result that was taken over has none.
  if (reply.attempts().empty()) return TimeOf(reply.job(), now);
  absl::Duration sum;
  for (const v1::Attempt& attempt : reply.attempts()) {
    // One that begins in the future, by this machine's clock, took nothing.
    sum += std::max(Took(attempt, now), absl::ZeroDuration());
  }
  const int count = reply.attempts_size();
  return absl::StrCat(
      HumanDuration(sum),
      count > 1 ? absl::StrCat(" in ", FormatPlural(count, "attempt")) : "");
}

std::string LogLoss(const v1::Job& job) {
  return job.has_log_loss() ? FormatScore(job.log_loss()) : "-";
}

struct JobsOptions {
  std::string sweep;
  std::string state;
};

absl::StatusOr<int> Jobs(CommandContext& context, const JobsOptions& options) {
  v1::ListJobsRequest request;
  request.set_sweep(options.sweep);
  if (!options.state.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(const v1::Job::State state,
                              ParseJobState(options.state));
    request.set_state(state);
  }
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse reply,
                            client.Call(&Farm::ListJobs, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    if (reply.jobs().empty()) {
      return absl::StrCat("No ", options.state,
                          options.state.empty() ? "" : " ", "jobs in ",
                          options.sweep, ".\n");
    }
    Table table({{"JOB"},
                 {"STATE"},
                 {"EPOCH", Align::kRight},
                 {"LOG LOSS", Align::kRight},
                 {"ATTEMPTS", Align::kRight, false, 0, true},
                 {"LAST TRY", Align::kRight},
                 {"WORKER", Align::kLeft, true, 8, true},
                 {"ERROR", Align::kLeft, true, 16}});
    const absl::Time now = context.clock.Now();
    for (const v1::Job& job : reply.jobs()) {
      const bool failed = job.state() == v1::Job::FAILED;
      const std::string& why =
          job.error().empty() ? job.waiting_reason() : job.error();
      table.AddRow({job.name(), StateCell(job.state()),
                    absl::StrCat(job.epoch(), "/", job.epochs()), LogLoss(job),
                    absl::StrCat(job.attempt_count()), TimeOf(job, now),
                    job.worker(),
                    Cell(why.substr(0, why.find('\n')),
                         failed ? Style::kBad : Style::kDim)});
    }
    return table.Render(width, colour);
  }));
  return kExitDone;
}

struct JobOptions {
  std::string job;
};

// `changed`: what it is trained with otherwise than its sweep says.
std::string JobText(const v1::GetJobResponse& reply,
                    const std::vector<ChangedOption>& changed, absl::Time now,
                    size_t width, bool colour) {
  const v1::Job& job = reply.job();
  std::string text = absl::StrCat(
      Heading(job.name(), colour), "  ",
      Paint(StateName(job.state()), StateStyle(job.state()), colour),
      "\nepoch ", job.epoch(), " of ", job.epochs(), ", log loss ",
      LogLoss(job), ", ", FormatPlural(job.slots(), "slot"), ", time ",
      TimeOfAll(reply, now), "\n");
  if (!job.reused_from().empty()) {
    absl::StrAppend(&text, "result taken over from ", job.reused_from(), "\n");
  }
  for (const ChangedOption& option : changed) {
    absl::StrAppend(&text, "retried with ", option.name, ": ", option.now,
                    " (in its sweep: ", option.before, ")\n");
  }
  if (reply.checkpoint_epoch() > 0) {
    absl::StrAppend(&text, "checkpoint of epoch ", reply.checkpoint_epoch(),
                    "\n");
  }
  if (ToTime(job.not_before_time()) > now && job.state() == v1::Job::PENDING) {
    absl::StrAppend(&text, "tried again ",
                    FormatRelative(ToTime(job.not_before_time()), now), "\n");
  }
  if (!job.waiting_reason().empty()) {
    absl::StrAppend(&text, Paint("waiting: ", Style::kWarning, colour),
                    job.waiting_reason(), "\n");
  }
  if (!job.error().empty()) {
    absl::StrAppend(&text, Paint("error: ", Style::kBad, colour), job.error(),
                    "\n");
  }
  if (!reply.attempts().empty()) {
    Table attempts({{"ATTEMPT", Align::kRight},
                    {"STATE"},
                    {"WORKER", Align::kLeft, true, 8},
                    {"DEVICE"},
                    {"STARTED"},
                    {"TOOK", Align::kRight},
                    {"FROM EPOCH", Align::kRight, false, 0, true},
                    {"CPU", Align::kRight, false, 0, true},
                    {"MEMORY", Align::kRight, false, 0, true},
                    {"END"},
                    {"ERROR", Align::kLeft, true, 16}});
    for (const v1::Attempt& attempt : reply.attempts()) {
      const absl::Time start = ToTime(attempt.start_time());
      attempts.AddRow({absl::StrCat(attempt.number()),
                       StateCell(attempt.state()), attempt.worker(),
                       attempt.device(), FormatRelative(start, now),
                       HumanDuration(Took(attempt, now)),
                       absl::StrCat(attempt.resumed_epoch()),
                       attempt.cpu_seconds() > 0
                           ? HumanDuration(absl::Seconds(attempt.cpu_seconds()))
                           : "-",
                       attempt.peak_memory_bytes() > 0
                           ? FormatBytes(attempt.peak_memory_bytes())
                           : "-",
                       AttemptEnd(attempt),
                       absl::StrCat(attempt.uncharged() ? "uncharged: " : "",
                                    attempt.error())});
    }
    absl::StrAppend(&text, "\n", attempts.Render(width, colour));
  }
  const v1::Attempt* last =
      reply.attempts().empty() ? nullptr : &*reply.attempts().rbegin();
  if (last != nullptr && !last->log_tail().empty()) {
    absl::StrAppend(&text, "\n", Heading("Last lines of its log", colour), "\n",
                    absl::StrJoin(last->log_tail(), "\n"), "\n");
  }
  if (!reply.artifacts().empty()) {
    Table artifacts({{"ARTIFACT"}, {"SIZE", Align::kRight}, {"SHA-256"}});
    for (const v1::ArtifactRef& ref : reply.artifacts()) {
      artifacts.AddRow(
          {ref.name(), FormatBytes(ref.size_bytes()), ref.digest()});
    }
    absl::StrAppend(&text, "\n", artifacts.Render(width, colour));
  }
  return text;
}

absl::StatusOr<int> Job(CommandContext& context, const JobOptions& options) {
  v1::GetJobRequest request;
  request.set_job(options.job);
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::GetJobResponse reply,
                            client.Call(&Farm::GetJob, request));
  std::vector<ChangedOption> changed;
  if (context.format == OutputFormat::kTable) {
    v1::GetSweepRequest get_sweep;
    get_sweep.set_sweep(reply.job().sweep());
    FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep sweep,
                              client.Call(&Farm::GetSweep, get_sweep));
    changed = ChangedOptions(reply, sweep.spec());
  }
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    return JobText(reply, changed, context.clock.Now(), width, colour);
  }));
  return kExitDone;
}

struct LogsOptions {
  std::string job;
  bool follow = false;
};

Style LevelStyle(absl::string_view level) {
  if (level == "error") return Style::kBad;
  if (level == "warning") return Style::kWarning;
  return level == "debug" ? Style::kDim : Style::kPlain;
}

void PrintLogLine(const Console& console, const v1::LogLine& line) {
  *console.out << Paint(
                      absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(line.time()),
                                       absl::LocalTimeZone()),
                      Style::kDim, console.out_colour)
               << "  "
               << Paint(line.text(), LevelStyle(line.level()),
                        console.out_colour)
               << "\n";
}

absl::StatusOr<int> Logs(CommandContext& context, const LogsOptions& options) {
  FarmClient client(context.coordinator);
  v1::GetLogsRequest request;
  request.set_job(options.job);
  request.set_follow(options.follow);
  const bool json = context.format == OutputFormat::kJson;
  v1::GetLogsResponse all;
  // Of the newest line that was printed: its attempt, its place in that.
  std::pair<int64_t, int64_t> last;
  Reconnection reconnection(context.clock);
  bool lost = false;
  while (true) {
    CallContext call(kWhileThePeerLives);
    const auto stream = client.farm().GetLogs(&call, request);
    v1::GetLogsResponse part;
    std::pair<int64_t, int64_t> place;
    bool heard = false;
    while (stream->Read(&part)) {
      heard = true;
      lost = false;
      for (const v1::LogLine& line : part.lines()) {
        // A new stream begins at the beginning.
        place = {line.token(),
                 line.token() == place.first ? place.second + 1 : 1};
        if (place <= last) continue;
        last = place;
        if (json) {
          *all.add_lines() = line;
        } else {
          PrintLogLine(context.console, line);
        }
      }
      context.console.out->flush();
    }
    const absl::Status status = ToStatus(stream->Finish());
    if (status.ok()) break;
    if (!reconnection.ShouldTryAgain(status, heard) || !options.follow) {
      return client.Explain(status, /*heard=*/last.second > 0);
    }
    if (!lost) context.console.Warn(kCoordinatorIsLost);
    lost = true;
    client.WaitToTryAgain(context.clock, Reconnection::kInterval,
                          [] { return InterruptScope::Interrupted(); });
  }
  if (last.second == 0) {
    context.console.Note(absl::StrCat("No log lines of ", options.job));
  }
  if (json) {
    FOLDFARM_RETURN_IF_ERROR(
        context.Show(all, [](size_t, bool) { return ""; }));
  }
  return kExitDone;
}

absl::StatusOr<int> Metrics(CommandContext& context,
                            const JobOptions& options) {
  v1::GetMetricsRequest request;
  request.set_job(options.job);
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::GetMetricsResponse reply,
                            client.Call(&Farm::GetMetrics, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    return MetricsText(reply, width, colour);
  }));
  return kExitDone;
}

void AddJobArgument(CLI::App& command, std::string& job) {
  command.add_option("JOB", job, "SWEEP/MODEL/FOLD")->type_name("")->required();
}

}  // namespace

void AddJobCommands(CLI::App& app, Invocation& invocation) {
  {
    auto [command, options] =
        AddCommand<JobsOptions>(app, invocation, "jobs", "List a sweep's jobs",
                                "foldfarm jobs s3 --state failed", Jobs);
    command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
        ->type_name("")
        ->required();
    command->add_option("--state", options->state, "Only jobs in this state")
        ->type_name("pending|running|succeeded|failed|cancelled")
        ->check(CLI::IsMember(
                    {"pending", "running", "succeeded", "failed", "cancelled"},
                    CLI::ignore_case)
                    .description(""));
  }
  {
    auto [command, options] = AddCommand<JobOptions>(
        app, invocation, "job", "Show a job: its attempts, errors and results",
        "foldfarm job s3/130_gru/0", Job);
    AddJobArgument(*command, options->job);
  }
  {
    auto [command, options] =
        AddCommand<LogsOptions>(app, invocation, "logs", "Print a job's log",
                                "foldfarm logs -f s3/130_gru/0", Logs);
    AddJobArgument(*command, options->job);
    command->add_flag("-f,--follow", options->follow,
                      "Go on until the job is final");
  }
  {
    auto [command, options] = AddCommand<JobOptions>(
        app, invocation, "metrics", "Print a job's metrics by epoch",
        "foldfarm metrics s3/130_gru/0", Metrics);
    AddJobArgument(*command, options->job);
  }
  AddWorkerCommands(app, invocation);
}

}  // namespace foldfarm
