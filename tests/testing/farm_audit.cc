#include "tests/testing/farm_audit.h"

#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "common/rpc/status.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
constexpr absl::Duration kCallTimeout = absl::Seconds(20);

// Collects what is wrong.
class Auditor {
 public:
  Auditor(TestCluster& cluster, const std::set<std::string>& sweeps,
          const AuditExpectations& expected)
      : cluster_(cluster), sweeps_(sweeps), expected_(expected) {}

  AuditReport Run() {
    AuditSweeps();
    for (const std::string& sweep : sweeps_) AuditSweep(sweep);
    CollectGarbage();
    Stop();
    AuditDatabase();
    AuditFiles();
    AuditProcesses();
    CountForSummary("jobs", report_.jobs);
    CountForSummary("lost", report_.lost);
    CountForSummary("doubled", report_.doubled);
    return std::move(report_);
  }

 private:
  template <typename... Parts>
  void Note(const Parts&... parts) {
    report_.findings.push_back(absl::StrCat(parts...));
  }
  template <typename... Parts>
  void NoteLost(const Parts&... parts) {
    ++report_.lost;
    Note("lost: ", parts...);
  }
  template <typename... Parts>
  void NoteDoubled(const Parts&... parts) {
    ++report_.doubled;
    Note("doubled: ", parts...);
  }

  // A submission that was repeated must not have made two sweeps.
  void AuditSweeps() {
    const auto all = UnaryCall(cluster_.farm(), &Farm::ListSweeps,
                               v1::ListSweepsRequest(), kCallTimeout);
    if (!all.ok()) return Note("sweeps: ", all.status().ToString());
    std::set<std::string> there;
    for (const v1::Sweep& sweep : all->sweeps()) {
      there.insert(sweep.id());
      if (sweeps_.count(sweep.id()) == 0) {
        NoteDoubled("sweep ", sweep.id(), ", which nobody submitted");
      }
    }
    for (const std::string& sweep : sweeps_) {
      if (there.count(sweep) == 0) NoteLost("sweep ", sweep);
    }
  }

  void AuditSweep(const std::string& sweep) {
    v1::ListJobsRequest request;
    request.set_sweep(sweep);
    const auto jobs =
        UnaryCall(cluster_.farm(), &Farm::ListJobs, request, kCallTimeout);
    if (!jobs.ok()) return Note(sweep, ": ", jobs.status().ToString());
    for (const v1::Job& job : jobs->jobs()) AuditJob(job);
    if (expected_.samples > 0) AuditPredictions(sweep);
  }

  void AuditJob(const v1::Job& job) {
    ++report_.jobs;
    const auto all = cluster_.GetJob(job.name());
    if (!all.ok()) return Note(job.name(), ": ", all.status().ToString());
    const auto special = expected_.states.find(job.name());
    const v1::Job::State wanted = special == expected_.states.end()
                                      ? v1::Job::SUCCEEDED
                                      : special->second;
    int succeeded = 0;
    for (const v1::Attempt& attempt : all->attempts()) {
      succeeded += attempt.state() == v1::Attempt::SUCCEEDED;
      if (attempt.state() == v1::Attempt::RUNNING) {
        Note(job.name(), ": attempt ", attempt.token(), " is still running");
      }
    }
    if (job.state() != wanted) {
      NoteLost(job.name(), ": it is ", v1::Job::State_Name(job.state()),
               ", expected ", v1::Job::State_Name(wanted), "; ", job.error());
    }
    if (succeeded > 1) {
      NoteDoubled(job.name(), ": ", succeeded, " attempts succeeded");
    }
    if (job.state() != v1::Job::SUCCEEDED) return;
    if (succeeded == 0) NoteLost(job.name(), ": no attempt succeeded");
    AuditMetrics(*all);
    AuditArtifacts(*all);
  }

  void AuditMetrics(const v1::GetJobResponse& job) {
    const std::string& name = job.job().name();
    const auto metrics = cluster_.GetMetrics(name);
    if (!metrics.ok()) return Note(name, ": ", metrics.status().ToString());
    std::map<int, int> times;
    int last = 0;
    for (const v1::EpochMetrics& epoch : metrics->epochs()) {
      ++times[epoch.epoch()];
      if (epoch.epoch() < last) Note(name, ": metrics are not in order");
      last = epoch.epoch();
    }
    const int epochs = job.job().epochs();
    for (int epoch = 1; epoch <= epochs; ++epoch) {
      if (times[epoch] == 0) NoteLost(name, ": metrics of epoch ", epoch);
      if (times[epoch] > 1) NoteDoubled(name, ": metrics of epoch ", epoch);
      times.erase(epoch);
    }
    for (const auto& [epoch, count] : times) {
      Note(name, ": metrics of epoch ", epoch, " of ", epochs);
    }
    if (metrics->result().count("log_loss") == 0) {
      NoteLost(name, ": the log loss of its result");
    }
  }

  void AuditArtifacts(const v1::GetJobResponse& job) {
    const std::string& name = job.job().name();
    std::set<std::string> names;
    const std::string path = JoinPath(cluster_.folder(), "audited");
    for (const v1::ArtifactRef& ref : job.artifacts()) {
      names.insert(ref.name());
      if (!fetched_.insert(ref.digest()).second) continue;
      const absl::Status status = DownloadFile(
          cluster_.artifacts(), ref.digest(), ref.size_bytes(), path);
      if (!status.ok()) {
        NoteLost(name, ": ", ref.name(), ": ", status.ToString());
        continue;
      }
      const auto digest = Sha256HexOfFile(path);
      if (digest.value_or("") != ref.digest()) {
        NoteLost(name, ": ", ref.name(), " has another digest");
      }
    }
    RemoveRecursively(path).IgnoreError();
    if (names.count("oof.safetensors") == 0) {
      NoteLost(name, ": its out-of-fold predictions");
    }
  }

  void AuditPredictions(const std::string& sweep) {
    v1::GetOofRequest request;
    request.set_sweep(sweep);
    grpc::ClientContext context;
    SetTimeout(context, kCallTimeout);
    const auto reader = cluster_.farm().GetOof(&context, request);
    std::map<std::string, int> times;
    v1::GetOofResponse response;
    while (reader->Read(&response)) {
      for (const auto& row : response.rows()) ++times[row.sample_id()];
    }
    const absl::Status status = ToStatus(reader->Finish());
    if (!status.ok()) return NoteLost(sweep, ": OOF: ", status.ToString());
    for (const auto& [sample, count] : times) {
      if (count > 1) NoteDoubled(sweep, ": sample ", sample);
    }
    if (static_cast<int>(times.size()) != expected_.samples) {
      NoteLost(sweep, ": OOF of ", times.size(), " of ", expected_.samples,
               " samples");
    }
  }

  // What broke off is garbage by now. A coordinator that cannot collect it may
  // leave it.
  void CollectGarbage() {
    v1::CollectGarbageRequest request;
    request.set_min_age_seconds(1e-6);
    const auto collected = UnaryCall(cluster_.farm(), &Farm::CollectGarbage,
                                     request, kCallTimeout);
    collects_garbage_ = !absl::IsUnimplemented(collected.status());
    if (collects_garbage_ && !collected.ok()) {
      Note("garbage: ", collected.status().ToString());
    }
  }

  void Stop() {
    for (const std::string& worker : cluster_.Workers()) {
      if (!expected_.drain) {
        cluster_.KillWorker(worker);
        continue;
      }
      const ExitState exit = cluster_.StopWorker(worker);
      if (exit.exit_status != 0 || exit.signal != 0) {
        Note("worker ", worker, " drained with exit status ", exit.exit_status,
             ", signal ", exit.signal);
      }
    }
    const ExitState exit = cluster_.StopCoordinator();
    if (exit.exit_status != 0 || exit.signal != 0) {
      Note("the coordinator stopped with exit status ", exit.exit_status,
           ", signal ", exit.signal);
    }
  }

  // The lines that the database answers.
  std::vector<std::string> Ask(const std::string& sql) {
    const auto text =
        OutputOf({"sqlite3", "-readonly",
                  JoinPath(cluster_.coordinator_folder(), "farm.db"), sql});
    if (!text.ok()) {
      Note("database: ", text.status().ToString());
      return {};
    }
    return absl::StrSplit(*text, '\n', absl::SkipEmpty());
  }

  void AuditDatabase() {
    const auto check = Ask("PRAGMA integrity_check; PRAGMA foreign_key_check");
    if (check != std::vector<std::string>{"ok"}) {
      Note("integrity_check: ", absl::StrJoin(check, "; "));
    }
    for (const std::string& job :
         Ask("SELECT job_id FROM attempt WHERE state = 2 "
             "GROUP BY job_id HAVING count(*) > 1")) {
      NoteDoubled("the database has two results of job ", job);
    }
    const auto taken = Ask("SELECT token FROM attempt WHERE state = 2");
    AuditAcknowledged({taken.begin(), taken.end()});
  }

  // Whatever a worker was told is taken must be there, whoever died since.
  void AuditAcknowledged(const std::set<std::string>& taken) {
    const auto names = ListDirectory(cluster_.folder());
    if (!names.ok()) return Note(names.status().ToString());
    for (const std::string& name : *names) {
      if (!absl::StartsWith(name, "worker-")) continue;
      const auto log = ReadFile(JoinPath(cluster_.folder(), name));
      if (!log.ok()) return Note(log.status().ToString());
      for (absl::string_view line : absl::StrSplit(*log, '\n')) {
        if (!absl::EndsWith(line, " SUCCEEDED")) continue;
        const std::vector<absl::string_view> parts =
            absl::StrSplit(line, "attempt=");
        if (parts.size() != 2) continue;
        const std::string token =
            std::string(parts[1].substr(0, parts[1].find(' ')));
        if (taken.count(token) == 0) {
          NoteLost("attempt ", token, ", whose worker was told it is taken");
        }
      }
    }
  }

  void AuditFiles() {
    const auto rows =
        Ask("SELECT digest FROM job_artifact UNION SELECT digest FROM dataset "
            "UNION SELECT digest FROM weights UNION SELECT digest FROM input");
    std::set<std::string> missing(rows.begin(), rows.end());
    int garbage = 0;
    std::error_code error;
    namespace fs = std::filesystem;
    for (fs::recursive_directory_iterator it(cluster_.folder(), error), end;
         !error && it != end; it.increment(error)) {
      const std::string path =
          it->path().string().substr(cluster_.folder().size() + 1);
      const std::string name = it->path().filename().string();
      if (it->is_directory()) {
        if (absl::StartsWith(path, "workers/scratch/")) {
          Note("left behind: folder ", path);
        }
      } else if (absl::StartsWith(path, "coordinator/artifacts/")) {
        if (Sha256HexOfFile(it->path().string()).value_or("") != name) {
          Note(path, " has another digest");
        }
        garbage += missing.erase(name) == 0;
      } else if (absl::StartsWith(path, "coordinator/uploads/")) {
        ++garbage;
      } else if (absl::StrContains(name, ".part") ||
                 absl::StrContains(name, ".tmp")) {
        Note("left behind: ", path);
      }
    }
    if (error) Note(cluster_.folder(), ": ", error.message());
    for (const std::string& digest : missing) {
      NoteLost("the file of artifact ", digest);
    }
    if (garbage > 0 && collects_garbage_) {
      Note("left behind: ", garbage, " files that no row names");
    }
  }

  // Any process that names the farm's folder or works in it.
  void AuditProcesses() {
    std::string left;
    const bool none = PollUntil(absl::Seconds(10), [&] {
      left.clear();
      for (const std::string& pid :
           ListDirectory("/proc").value_or(std::vector<std::string>())) {
        int number = 0;
        if (!absl::SimpleAtoi(pid, &number)) continue;
        const std::string proc = absl::StrCat("/proc/", pid);
        std::error_code error;
        const std::string at =
            std::filesystem::read_symlink(proc + "/cwd", error).string();
        const auto command = ReadFile(proc + "/cmdline");
        if (absl::StrContains(at, cluster_.folder()) ||
            (command.ok() && absl::StrContains(*command, cluster_.folder()))) {
          absl::StrAppend(&left, " ", pid, " ",
                          command.value_or("").substr(0, 200));
        }
      }
      return left.empty();
    });
    if (!none) Note("processes left behind:", left);
  }

  TestCluster& cluster_;
  const std::set<std::string>& sweeps_;
  const AuditExpectations& expected_;
  AuditReport report_;
  std::set<std::string> fetched_;
  bool collects_garbage_ = false;
};

}  // namespace

std::string AuditReport::ToString() const {
  return absl::StrCat(jobs, " jobs, lost ", lost, ", doubled ", doubled,
                      findings.empty() ? "" : "\n  ",
                      absl::StrJoin(findings, "\n  "));
}

AuditReport AuditFarm(TestCluster& cluster, const std::set<std::string>& sweeps,
                      const AuditExpectations& expected) {
  return Auditor(cluster, sweeps, expected).Run();
}

}  // namespace foldfarm
