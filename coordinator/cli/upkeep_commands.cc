// What looks after a farm's files: backup, gc.
#include <unistd.h>

#include <map>
#include <string>
#include <variant>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/call_context.h"
#include "common/rpc/status.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/inside_folder.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/output_file.h"
#include "coordinator/cli/progress.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

constexpr absl::Duration kBackupTimeout = absl::Hours(6);

struct BackupOptions {
  std::string out;
  std::string artifacts;
};

struct GarbageOptions {
  bool dry_run = false;
  double min_age_hours = 1;
};

// Fetches the database into `path`, which appears whole and checked or not.
absl::Status FetchDatabase(CommandContext& context, FarmClient& client,
                           const std::string& path) {
  const std::string part = absl::StrCat(path, ".part");
  unlink(part.c_str());
  const absl::Cleanup remove = [&part] { unlink(part.c_str()); };
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file,
                            AppendFile::Open(part));
  Progress progress(context.console, context.clock, "Fetching the database",
                    ProgressUnit::kBytes);
  CallContext call(kBackupTimeout);
  const auto reader = client.farm().Backup(&call, v1::BackupRequest());
  Hasher hasher = Hasher::Sha256();
  v1::BackupResponse piece;
  int64_t size = 0;
  std::string digest;
  absl::Status status;
  while (status.ok() && reader->Read(&piece)) {
    if (piece.size_bytes() > 0) size = piece.size_bytes();
    if (!piece.digest().empty()) digest = piece.digest();
    hasher.Update(piece.data());
    status = file->Append(piece.data());
    progress.Update(file->size(), size);
  }
  if (!status.ok()) call.TryCancel();
  const absl::Status ended = ToStatus(reader->Finish());
  FOLDFARM_RETURN_IF_ERROR(status);
  if (!ended.ok()) return client.Explain(ended, /*heard=*/file->size() > 0);
  const std::string got = hasher.FinishHex();
  if (file->size() != size || got != digest) {
    return absl::DataLossError(
        absl::StrCat(path, ": got ", file->size(), " bytes with SHA-256 ", got,
                     ", expected ", size, " with ", digest, "; repeat"));
  }
  return PublishFile(part, path);
}

// Every file that the database names, by digest.
absl::StatusOr<std::map<std::string, int64_t>> NamedArtifacts(
    FarmClient& client) {
  std::map<std::string, int64_t> named;
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListDatasetsResponse datasets,
                            client.Call(&Farm::ListDatasets, {}));
  for (const v1::Dataset& dataset : datasets.datasets()) {
    named[dataset.digest()] = dataset.size_bytes();
  }
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListWeightsResponse weights,
                            client.Call(&Farm::ListWeights, {}));
  for (const v1::Weights& one : weights.weights()) {
    named[one.digest()] = one.size_bytes();
  }
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListSweepsResponse sweeps,
                            client.Call(&Farm::ListSweeps, {}));
  for (const v1::Sweep& sweep : sweeps.sweeps()) {
    v1::ListJobsRequest list;
    list.set_sweep(sweep.id());
    FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs,
                              client.Call(&Farm::ListJobs, list));
    for (const v1::Job& job : jobs.jobs()) {
      v1::GetJobRequest request;
      request.set_job(job.name());
      FOLDFARM_ASSIGN_OR_RETURN(const v1::GetJobResponse all,
                                client.Call(&Farm::GetJob, request));
      for (const auto* refs :
           {&all.artifacts(), &all.checkpoint(), &all.inputs()}) {
        for (const v1::ArtifactRef& ref : *refs) {
          named[ref.digest()] = ref.size_bytes();
        }
      }
    }
  }
  return named;
}

struct FetchedArtifacts {
  int64_t count = 0;
  int64_t bytes = 0;
  int64_t fetched = 0;  // The others were there.
};

// As the coordinator lays them out: DIR/ab/abcd...
absl::StatusOr<FetchedArtifacts> FetchArtifacts(CommandContext& context,
                                                FarmClient& client,
                                                const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto named, NamedArtifacts(client));
  Progress progress(context.console, context.clock, "Fetching artifacts",
                    ProgressUnit::kBytes);
  int64_t all = 0, done = 0, fetched = 0;
  for (const auto& [digest, size] : named) all += size;
  TransferOptions transfer;
  transfer.retry.give_up_after = absl::Seconds(30);
  transfer.clock = &context.clock;
  transfer.cancelled = &InterruptScope::Interrupted;
  for (const auto& [digest, size] : named) {
    if (!IsSha256Hex(digest)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the coordinator names an artifact \"",
          absl::CHexEscape(digest.substr(0, 100)), "\", expected a SHA-256"));
    }
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::string path,
        MakePlaceInside(directory,
                        absl::StrCat(digest.substr(0, 2), "/", digest)));
    if (!FileExists(path)) {
      const absl::Status status =
          DownloadFile(client.artifacts(), digest, size, path, transfer);
      // A checkpoint that a newer one has replaced meanwhile.
      if (!status.ok() && !absl::IsNotFound(status)) {
        return client.Explain(status);
      }
      if (status.ok()) ++fetched;
    }
    done += size;
    progress.Update(done, all);
  }
  return FetchedArtifacts{.count = static_cast<int64_t>(named.size()),
                          .bytes = all,
                          .fetched = fetched};
}

absl::StatusOr<int> Backup(CommandContext& context,
                           const BackupOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string file,
                            FindOutputFile(options.out));
  if (!options.artifacts.empty()) {
    FOLDFARM_RETURN_IF_ERROR(MakeDirectories(options.artifacts));
  }
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  const absl::Status database = FetchDatabase(context, client, file);
  if (absl::IsCancelled(database)) {
    return absl::CancelledError("Stopped; nothing was written.");
  }
  FOLDFARM_RETURN_IF_ERROR(database);
  absl::StatusOr<FetchedArtifacts> artifacts = FetchedArtifacts();
  if (!options.artifacts.empty()) {
    artifacts = FetchArtifacts(context, client, options.artifacts);
  }
  if (absl::IsCancelled(artifacts.status())) {
    return absl::CancelledError(
        absl::StrCat("Stopped; ", options.out, " is whole, ", options.artifacts,
                     " is not yet: the same command fetches what is missing."));
  }
  FOLDFARM_RETURN_IF_ERROR(artifacts.status());
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t size, FileSize(file));
  nlohmann::ordered_json summary = {{"file", options.out}, {"bytes", size}};
  if (!options.artifacts.empty()) {
    summary["artifacts"] = {{"folder", options.artifacts},
                            {"count", artifacts->count},
                            {"bytes", artifacts->bytes},
                            {"fetched", artifacts->fetched}};
  }
  PrintSummary(context, summary);
  if (context.format == OutputFormat::kJson) return kExitDone;
  *context.console.out << options.out << ": the database, " << FormatBytes(size)
                       << "\n";
  if (!options.artifacts.empty()) {
    *context.console.out << FormatPlural(artifacts->count, "artifact") << " ("
                         << FormatBytes(artifacts->bytes) << ") in "
                         << options.artifacts << ", " << artifacts->fetched
                         << " of them new\n";
  }
  *context.console.out
      << "Restore: put it into an empty folder as farm.db"
      << (options.artifacts.empty()
              ? ", beside a copy of the farm's folder artifacts/"
              : absl::StrCat(", and ", options.artifacts, " as artifacts/"))
      << ", and start foldfarm-coordinator --dir on it." << std::endl;
  return kExitDone;
}

absl::StatusOr<int> CollectGarbage(CommandContext& context,
                                   const GarbageOptions& options) {
  FarmClient client(context.coordinator);
  v1::CollectGarbageRequest request;
  request.set_dry_run(options.dry_run);
  request.set_min_age_seconds(options.min_age_hours * 3600);
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::CollectGarbageResponse reply,
      client.Call(&Farm::CollectGarbage, request, absl::Minutes(30)));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    return absl::StrCat(options.dry_run ? "Would delete " : "Deleted ",
                        FormatPlural(reply.files(), "file"), " (",
                        FormatBytes(reply.size_bytes()),
                        ") that nothing names; ",
                        FormatPlural(reply.kept_files(), "file"), " (",
                        FormatBytes(reply.kept_size_bytes()),
                        options.dry_run ? ") would stay.\n" : ") stay.\n");
  }));
  return kExitDone;
}

}  // namespace

void AddUpkeepCommands(CLI::App& app, Invocation& invocation) {
  auto [backup, out] = AddCommand<BackupOptions>(
      app, invocation, "backup",
      "Copy the farm's database to a file while it runs",
      "foldfarm backup --out farm-backup.db --artifacts farm-artifacts/",
      Backup);
  backup
      ->add_option("--out", out->out,
                   "The file; it appears when it is whole and checked")
      ->type_name("FILE")
      ->required();
  backup
      ->add_option("--artifacts", out->artifacts,
                   "Also copy the artifacts that the database names to this "
                   "folder; those that are there are not fetched again")
      ->type_name("DIR");
  auto [gc, garbage] =
      AddCommand<GarbageOptions>(app, invocation, "gc",
                                 "Delete artifacts that nothing names any "
                                 "more; the coordinator does so by "
                                 "itself once a day",
                                 "foldfarm gc --dry-run", CollectGarbage);
  gc->add_flag("--dry-run", garbage->dry_run, "Only say what would go");
  gc->add_option("--min-age", garbage->min_age_hours,
                 "Spare files younger than so many hours: their result may be "
                 "on its way")
      ->type_name("HOURS")
      ->check(InRange(0.001, 1e6))
      ->capture_default_str();
}

}  // namespace foldfarm
