// The part of JobQueue about files that attempts start with: registered weights
// and users' programs.
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/near_misses.h"

namespace foldfarm {
namespace {

constexpr int kMaxExecFiles = 1000;

// Checks an ExecSpec but for its files' contents.
absl::Status CheckExec(const v1::ExecSpec& exec) {
  if (exec.command().empty() || exec.command(0).empty()) {
    return absl::InvalidArgumentError(
        "command is empty, expected a program and its arguments");
  }
  for (const std::string& word : exec.command()) {
    if (word.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(
          "command holds a NUL character, expected text");
    }
  }
  if (exec.has_epochs() && exec.epochs() < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("epochs is ", exec.epochs(), ", expected at least 1"));
  }
  if (exec.uploaded_size() > kMaxExecFiles) {
    return absl::InvalidArgumentError(
        absl::StrCat("files has ", exec.uploaded_size(),
                     " files, expected at most ", kMaxExecFiles));
  }
  absl::flat_hash_set<std::string> names;
  for (const v1::ExecFile& file : exec.uploaded()) {
    FOLDFARM_RETURN_IF_ERROR(CheckUserFileName(file.name()));
    if (!names.insert(file.name()).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "two files are named ", file.name(), " in the attempt's folder"));
    }
  }
  for (const std::string& file : exec.files()) {
    if (names.contains(file) || names.contains(BaseName(file))) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("file ", file, " was not uploaded"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Weights> JobQueue::RegisterWeights(
    const v1::RegisterWeightsRequest& request) {
  if (!IsValidName(request.name(), 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name of weights is \"", request.name(),
                     "\", expected 1 to 100 of [A-Za-z0-9._-]"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const ArtifactFiles::Stat stat,
                            files_.GetStat(request.digest()));
  if (!stat.complete) {
    return absl::FailedPreconditionError(
        absl::StrCat("weights ", request.name(), ": artifact ",
                     request.digest(), " is not stored; upload it first"));
  }
  v1::Weights weights;
  weights.set_name(request.name());
  weights.set_digest(request.digest());
  weights.set_size_bytes(stat.size_bytes);
  SetTime(clock_.Now(), weights.mutable_create_time());
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<v1::Weights> known,
                              tx.FindWeights(request.name()));
    FOLDFARM_RETURN_IF_ERROR(files_.Find(request.digest()).status());
    if (!known.has_value()) return tx.InsertWeights(weights);
    if (known->digest() != request.digest()) {
      return absl::AlreadyExistsError(
          absl::StrCat("weights ", request.name(), " are ", known->digest(),
                       " already; choose another name"));
    }
    weights = *known;
    return absl::OkStatus();
  }));
  SPDLOG_INFO("weights={} digest={} registered", weights.name(),
              weights.digest());
  return weights;
}

absl::StatusOr<std::string> JobQueue::FindWeights(const std::string& name) {
  std::vector<v1::Weights> all;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(all, reader.ListWeights());
        return absl::OkStatus();
      }));
  std::vector<std::string> names;
  for (const v1::Weights& weights : all) {
    if (weights.name() == name) return weights.digest();
    names.push_back(weights.name());
  }
  return absl::NotFoundError(absl::StrCat(
      "no weights \"", name, "\" are registered", NearMisses(name, names),
      "; `foldfarm weights import` registers a file"));
}

absl::StatusOr<v1::ArtifactRef> JobQueue::StoredInput(
    absl::string_view name, const std::string& digest) {
  FOLDFARM_ASSIGN_OR_RETURN(const ArtifactFiles::Stat stat,
                            files_.GetStat(digest));
  if (!stat.complete) {
    return absl::FailedPreconditionError(absl::StrCat(
        name, ": artifact ", digest, " is not stored; upload it first"));
  }
  v1::ArtifactRef ref;
  ref.set_name(std::string(name));
  ref.set_digest(digest);
  ref.set_size_bytes(stat.size_bytes);
  return ref;
}

absl::StatusOr<std::vector<InputRow>> JobQueue::ResolveInputs(
    v1::SweepSpec& spec) {
  std::vector<InputRow> inputs;
  for (int i = 0; i < spec.models_size(); ++i) {
    v1::ModelSpec& model = *spec.mutable_models(i);
    const std::string where = absl::StrCat("model ", model.name());
    const auto add = [&](absl::string_view name,
                         const std::string& digest) -> absl::Status {
      absl::StatusOr<v1::ArtifactRef> file = StoredInput(name, digest);
      if (!file.ok()) return Annotate(file.status(), where);
      inputs.push_back({i, *std::move(file)});
      return absl::OkStatus();
    };
    if (model.init().digest().empty() && !model.init().weights().empty()) {
      absl::StatusOr<std::string> digest = FindWeights(model.init().weights());
      if (!digest.ok()) {
        return Annotate(digest.status(), absl::StrCat(where, ": init"));
      }
      model.mutable_init()->set_digest(*std::move(digest));
    }
    if (!model.init().digest().empty()) {
      FOLDFARM_RETURN_IF_ERROR(add(kInitWeightsFile, model.init().digest()));
    }
    if (!model.arch().has_exec()) continue;
    const v1::ExecSpec& exec = model.arch().exec();
    if (const absl::Status status = CheckExec(exec); !status.ok()) {
      return Annotate(status, absl::StrCat(where, ": exec"));
    }
    for (const v1::ExecFile& file : exec.uploaded()) {
      FOLDFARM_RETURN_IF_ERROR(add(file.name(), file.digest()));
    }
  }
  return inputs;
}

}  // namespace foldfarm
