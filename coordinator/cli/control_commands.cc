// cancel, pause, resume, retry, priority: what people want of jobs that are
// there.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

struct TargetOptions {
  std::string target;
};

struct RetryOptions {
  std::vector<std::string> targets;
  bool from_scratch = false;
  std::vector<std::string> sets;
  int slots = 0;
};

struct PriorityOptions {
  std::string sweep;
  int priority = 0;
};

absl::StatusOr<int> Cancel(CommandContext& context,
                           const TargetOptions& options) {
  FarmClient client(context.coordinator);
  v1::CancelRequest request;
  request.set_target(options.target);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::CancelResponse reply,
                            client.Call(&Farm::Cancel, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    if (reply.jobs() == 0) {
      return absl::StrCat("Nothing of ", options.target,
                          " is left to cancel.\n");
    }
    return absl::StrCat("Cancelled ", FormatPlural(reply.jobs(), "job"), " of ",
                        options.target, ".\n");
  }));
  return kExitDone;
}

absl::StatusOr<int> Pause(CommandContext& context,
                          const TargetOptions& options) {
  FarmClient client(context.coordinator);
  v1::PauseRequest request;
  request.set_target(options.target);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::PauseResponse reply,
                            client.Call(&Farm::Pause, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    if (reply.jobs() == 0) {
      return absl::StrCat("Nothing of ", options.target,
                          " is left to pause: it has ended, or is paused "
                          "already.\n");
    }
    return absl::StrCat("Paused ", FormatPlural(reply.jobs(), "job"), " of ",
                        options.target,
                        "; what ran writes a checkpoint first. Go on with: "
                        "foldfarm resume ",
                        options.target, "\n");
  }));
  return kExitDone;
}

absl::StatusOr<int> Resume(CommandContext& context,
                           const TargetOptions& options) {
  FarmClient client(context.coordinator);
  v1::ResumeRequest request;
  request.set_target(options.target);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ResumeResponse reply,
                            client.Call(&Farm::Resume, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    if (reply.jobs() == 0) {
      return absl::StrCat("Nothing of ", options.target, " was paused.\n");
    }
    return absl::StrCat(options.target, ": ", FormatPlural(reply.jobs(), "job"),
                        " may go on\n");
  }));
  return kExitDone;
}

absl::StatusOr<int> Retry(CommandContext& context,
                          const RetryOptions& options) {
  FarmClient client(context.coordinator);
  v1::RetryResponse all;
  for (const std::string& target : options.targets) {
    v1::RetryRequest request;
    request.set_target(target);
    request.set_from_scratch(options.from_scratch);
    for (const std::string& set : options.sets) request.add_overrides(set);
    request.set_slots(options.slots);
    const absl::StatusOr<v1::RetryResponse> reply =
        client.Call(&Farm::Retry, request);
    if (!reply.ok() && all.jobs() > 0) {
      context.console.Note(absl::StrCat(
          "Before that: ", FormatPlural(all.jobs(), "job"), " pending again"));
    }
    FOLDFARM_RETURN_IF_ERROR(reply.status());
    all.set_jobs(all.jobs() + reply->jobs());
  }
  FOLDFARM_RETURN_IF_ERROR(context.Show(all, [&](size_t, bool) {
    if (all.jobs() == 0) {
      return absl::StrCat("Nothing of ", absl::StrJoin(options.targets, ", "),
                          " has failed or was cancelled.\n");
    }
    return absl::StrCat(absl::StrJoin(options.targets, ", "), ": ",
                        FormatPlural(all.jobs(), "job"), " pending again\n");
  }));
  return kExitDone;
}

absl::StatusOr<int> Priority(CommandContext& context,
                             const PriorityOptions& options) {
  FarmClient client(context.coordinator);
  v1::SetPriorityRequest request;
  request.set_sweep(options.sweep);
  request.set_priority(options.priority);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::SetPriorityResponse reply,
                            client.Call(&Farm::SetPriority, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    return absl::StrCat(options.sweep, ": priority ", options.priority, " for ",
                        FormatPlural(reply.jobs(), "job"), "\n");
  }));
  return kExitDone;
}

void AddTarget(CLI::App& command, TargetOptions& options) {
  command.add_option("SWEEP|JOB", options.target, "Sweep or job")
      ->type_name("")
      ->required();
}

}  // namespace

void AddControlCommands(CLI::App& app, Invocation& invocation) {
  {
    auto [command, options] = AddCommand<TargetOptions>(
        app, invocation, "cancel", "Cancel a job, or what is left of a sweep",
        "foldfarm cancel s3/130_gru/0", Cancel);
    AddTarget(*command, *options);
  }
  {
    auto [command, options] = AddCommand<TargetOptions>(
        app, invocation, "pause",
        "Train nothing more of a sweep or a job until it is resumed. What runs "
        "writes a checkpoint and goes on from there later; no try is lost",
        "foldfarm pause s3", Pause);
    AddTarget(*command, *options);
  }
  {
    auto [command, options] = AddCommand<TargetOptions>(
        app, invocation, "resume", "Let a paused sweep or job go on",
        "foldfarm resume s3", Resume);
    AddTarget(*command, *options);
  }
  {
    auto [command, options] = AddCommand<RetryOptions>(
        app, invocation, "retry",
        "Make failed and cancelled jobs of a sweep pending again, or those "
        "named; they go on from their checkpoints. What the sweep dropped by "
        "itself (screen, stop_when) is tried when it is named, or when nothing "
        "else is left to try",
        "foldfarm retry s3/130_gru/0 --set train.batch=4 --slots 2", Retry);
    command->add_option("SWEEP|JOB", options->targets, "Sweeps or jobs")
        ->type_name("...")
        ->required();
    command->add_flag("--from-scratch", options->from_scratch,
                      "Forget the checkpoints; what extends another sweep "
                      "goes back to that one's");
    command
        ->add_option("--set", options->sets,
                     "Change an option of these jobs' models, e.g. "
                     "train.batch=4; may be given several times")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    command
        ->add_option("--slots", options->slots,
                     "Slots that each takes (default: as before)")
        ->type_name("N")
        ->check(InRange(1, MostSlots()));
  }
  {
    auto [command, options] = AddCommand<PriorityOptions>(
        app, invocation, "priority",
        "Change a sweep's priority: larger is served first, from -1000 to 1000",
        "foldfarm priority s3 10", Priority);
    command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
        ->type_name("")
        ->required();
    command->add_option("N", options->priority, "The priority")
        ->type_name("")
        ->required()
        ->check(InRange(-1000, 1000));
  }
}

}  // namespace foldfarm
