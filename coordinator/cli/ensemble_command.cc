// ensemble.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/rpc/retry.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/ensemble_text.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/live_area.h"
#include "coordinator/cli/reconnection.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

constexpr absl::Duration kFollowInterval = absl::Seconds(1);
// How long the coordinator may be away before following ends.
// A full analysis of hundreds of models takes this long.
constexpr absl::Duration kFullTimeout = absl::Minutes(10);

struct EnsembleOptions {
  std::string sweep;
  std::string model;
  bool full = false;
  bool follow = false;
};

absl::StatusOr<v1::GetEnsembleResponse> Ask(FarmClient& client,
                                            const std::string& sweep,
                                            bool full) {
  v1::GetEnsembleRequest request;
  request.set_sweep(sweep);
  request.set_full(full);
  return client.Call(&Farm::GetEnsemble, request,
                     full ? kFullTimeout : absl::Minutes(1));
}

bool IsFinal(const v1::Sweep& sweep) {
  return sweep.pending() + sweep.running() == 0;
}

// Shows the ensemble so far while a sweep runs: on a terminal in place,
// whenever a job ends; elsewhere a line whenever a model is complete.
class Follower {
 public:
  Follower(CommandContext& context, FarmClient& client, std::string sweep)
      : context_(context),
        console_(context.console),
        client_(client),
        sweep_(std::move(sweep)),
        draws_(console_.out_redraws && context.format == OutputFormat::kTable),
        area_(*console_.out, LiveArea::Mode::kInline, console_.out_fd) {}

  // Returns when every job is final.
  absl::Status FollowToTheEnd() {
    InterruptScope interrupt;
    Reconnection reconnection(context_.clock);
    while (true) {
      const absl::StatusOr<bool> is_final = Look();
      if (is_final.ok() && *is_final) break;
      const bool goes_on =
          reconnection.ShouldTryAgain(is_final.status(), is_final.ok());
      if (!is_final.ok() && !goes_on && !InterruptScope::Interrupted()) {
        return is_final.status();
      }
      client_.WaitToTryAgain(context_.clock, kFollowInterval,
                             [] { return InterruptScope::Interrupted(); });
      if (InterruptScope::Interrupted()) {
        return absl::CancelledError(
            absl::StrCat("Stopped following; the sweep goes on. Follow it "
                         "again with: foldfarm ensemble ",
                         sweep_, " --follow"));
      }
    }
    if (draws_) area_.Clear(TerminalSizeOf(console_.out_fd).columns);
    return absl::OkStatus();
  }

 private:
  // Shows what is new. Returns whether every job is final.
  absl::StatusOr<bool> Look() {
    v1::GetSweepRequest request;
    request.set_sweep(sweep_);
    FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep sweep,
                              client_.Call(&Farm::GetSweep, request));
    const std::string counts = absl::StrCat(
        sweep.succeeded() + sweep.failed() + sweep.cancelled(), " of ",
        FormatPlural(sweep.succeeded() + sweep.failed() + sweep.cancelled() +
                         sweep.running() + sweep.pending(),
                     "job"),
        " done, ", sweep.running(), " running");
    const TerminalSize size = TerminalSizeOf(console_.out_fd);
    const std::string state = absl::StrCat(counts, " ", sweep.failed(), " ",
                                           size.columns, " ", size.rows);
    if (state != shown_) {
      FOLDFARM_ASSIGN_OR_RETURN(const v1::GetEnsembleResponse reply,
                                Ask(client_, sweep_, false));
      if (draws_) {
        Draw(absl::StrCat(sweep.id(), " ", sweep.name(), ": ", counts), reply,
             size);
      } else {
        SayNewModels(counts, reply);
      }
      shown_ = state;
    }
    return IsFinal(sweep);
  }

  void Draw(const std::string& head, const v1::GetEnsembleResponse& reply,
            const TerminalSize& size) {
    std::vector<std::string> lines = absl::StrSplit(
        absl::StrCat(
            head, "\n\n",
            EnsembleScoresText(reply, size.columns, console_.out_colour)),
        '\n');
    // The cursor stands on the line below the block.
    const size_t most = std::max<size_t>(size.rows, 4) - 1;
    if (lines.size() > most) {
      const size_t left_out = lines.size() - (most - 1);
      lines.resize(most - 1);
      lines.push_back(
          absl::StrCat("... ", FormatPlural(left_out, "line"), " more"));
    }
    for (std::string& line : lines) {
      // Painted lines are left as they are: an escape sequence has no middle.
      if (line.find('\033') == std::string::npos &&
          DisplayWidth(line) > size.columns) {
        line = Truncate(line, size.columns);
      }
      line = console_.Fit(std::move(line));
    }
    area_.Draw(lines, size.columns);
  }

  void SayNewModels(const std::string& counts,
                    const v1::GetEnsembleResponse& reply) {
    for (const v1::ModelScores& model : reply.models()) {
      if (std::find(said_.begin(), said_.end(), model.model()) != said_.end()) {
        continue;
      }
      said_.push_back(model.model());
      console_.Note(
          absl::StrCat(model.model(), " is complete, log loss ",
                       FormatScore(model.scores().log_loss_shrink_0002()),
                       "; ensemble of ", reply.models_size(), ": ",
                       FormatScore(reply.ensemble().log_loss_shrink_0002()),
                       " (", counts, ")"));
    }
  }

  CommandContext& context_;
  const Console& console_;
  FarmClient& client_;
  const std::string sweep_;
  const bool draws_;
  LiveArea area_;
  std::string shown_;
  std::vector<std::string> said_;  // Models, where nothing is drawn.
};

absl::StatusOr<int> Ensemble(CommandContext& context,
                             const EnsembleOptions& options) {
  FarmClient client(context.coordinator);
  if (options.follow) {
    FOLDFARM_RETURN_IF_ERROR(
        Follower(context, client, options.sweep).FollowToTheEnd());
  }
  const bool json = context.format == OutputFormat::kJson;
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::GetEnsembleResponse reply,
      Ask(client, options.sweep,
          options.full || json || !options.model.empty()));
  if (!options.model.empty()) {
    // Before anything is shown.
    FOLDFARM_RETURN_IF_ERROR(
        ModelText(reply, options.model, 0, false).status());
  }
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    if (!options.model.empty()) {
      return *ModelText(reply, options.model, width, colour);
    }
    return options.full ? FullEnsembleText(reply, width, colour)
                        : EnsembleText(reply, width, colour);
  }));
  if (!json && !options.full && options.model.empty() &&
      reply.models_size() > 1) {
    context.console.Note(
        absl::StrCat("\nIntervals, selections, weights, correlations: foldfarm "
                     "ensemble ",
                     options.sweep, " --full"));
  }
  return kExitDone;
}

}  // namespace

void AddEnsembleCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<EnsembleOptions>(
      app, invocation, "ensemble",
      "Score the models of a sweep that are complete on all folds, and their "
      "mean",
      "foldfarm ensemble s3 --full", Ensemble);
  command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
      ->type_name("")
      ->required();
  command->add_flag("--full", options->full,
                    "Also 95 % intervals, all selections, the TTA curve, the "
                    "shrink constant, weights and correlations; takes seconds "
                    "(-o json always has all)");
  command
      ->add_option("--model", options->model,
                   "Only this model, in detail (-o json still has all)")
      ->type_name("NAME");
  command->add_flag("-f,--follow", options->follow,
                    "Show the ensemble so far until every job is final");
}

}  // namespace foldfarm
