// The part of JobQueue about files that attempts start with: datasets,
// registered weights and users' programs.
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/near_misses.h"

namespace foldfarm {
namespace {

constexpr int kMaxExecFiles = 1000;
// Of datasets, kept in memory.
constexpr size_t kMostDatasets = 16;

// Counts and prevalences of a prepared dataset.
absl::Status Describe(const std::string& path, v1::Dataset& dataset) {
  absl::StatusOr<std::shared_ptr<const TensorFile>> file =
      TensorFile::Open(path);
  FOLDFARM_RETURN_IF_ERROR(file.status());
  FOLDFARM_ASSIGN_OR_RETURN(const DatasetHeader header,
                            ParseDatasetHeader((*file)->metadata(), path));
  const int64_t n = static_cast<int64_t>(header.samples.size());
  const int64_t l = static_cast<int64_t>(header.labels.size());
  FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> labels,
                            (*file)->U8("labels", {n, l}));
  std::map<std::pair<std::string, std::string>, int> counts;
  std::vector<int> positive(header.labels.size());
  int labelled = 0;
  for (size_t i = 0; i < header.samples.size(); ++i) {
    const SampleInfo& sample = header.samples[i];
    ++counts[{sample.split, sample.instrument_type}];
    if (!sample.labelled) continue;
    ++labelled;
    for (size_t k = 0; k < header.labels.size(); ++k) {
      positive[k] += labels[i * header.labels.size() + k];
    }
  }
  for (const auto& [key, samples] : counts) {
    v1::SampleCount& count = *dataset.add_counts();
    count.set_split(key.first);
    count.set_instrument_type(key.second);
    count.set_samples(samples);
  }
  for (size_t k = 0; k < header.labels.size(); ++k) {
    v1::LabelPrevalence& label = *dataset.add_labels();
    label.set_label(header.labels[k]);
    label.set_positive(positive[k]);
    label.set_samples(labelled);
  }
  return absl::OkStatus();
}

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

absl::StatusOr<v1::Dataset> JobQueue::RegisterDataset(
    const v1::RegisterDatasetRequest& request) {
  if (!IsValidName(request.name(), 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset name is \"", request.name(),
                     "\", expected 1 to 100 of [A-Za-z0-9._-]"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const ArtifactFiles::Stat stat,
                            files_.GetStat(request.digest()));
  if (!stat.complete) {
    return absl::FailedPreconditionError(
        absl::StrCat("dataset ", request.name(), ": artifact ",
                     request.digest(), " is not stored; upload it first"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files_.Find(request.digest()));
  v1::Dataset dataset;
  dataset.set_name(request.name());
  dataset.set_digest(request.digest());
  dataset.set_size_bytes(stat.size_bytes);
  SetTime(clock_.Now(), dataset.mutable_create_time());
  if (const absl::Status status = Describe(path, dataset); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset ", request.name(),
                     " is not a prepared dataset: ", status.message()));
  }
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<DatasetRow> known,
                              tx.FindDataset(request.name()));
    // Again: what was not named yet may have been collected meanwhile.
    FOLDFARM_RETURN_IF_ERROR(files_.Find(request.digest()).status());
    if (!known.has_value()) return tx.InsertDataset(dataset).status();
    if (known->dataset.digest() != request.digest()) {
      return absl::AlreadyExistsError(absl::StrCat(
          "dataset ", request.name(), " is ", known->dataset.digest(),
          " already; choose another name"));
    }
    dataset = known->dataset;
    return absl::OkStatus();
  }));
  SPDLOG_INFO("dataset={} digest={} registered", dataset.name(),
              dataset.digest());
  return dataset;
}

absl::StatusOr<StoredDataset> JobQueue::OpenDataset(const std::string& name) {
  std::optional<StoredDataset> known;
  {
    // A name never stands for another dataset later, nor a digest for another
    // file.
    absl::MutexLock lock(&mu_);
    const auto found = datasets_.find(name);
    if (found != datasets_.end()) known = found->second;
  }
  if (known.has_value()) {
    FOLDFARM_RETURN_IF_ERROR(files_.Find(known->row.dataset.digest()).status());
    return *std::move(known);
  }
  std::optional<DatasetRow> row;
  std::vector<std::string> names;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(row, reader.FindDataset(name));
        if (row.has_value()) return absl::OkStatus();
        FOLDFARM_ASSIGN_OR_RETURN(const std::vector<DatasetRow> all,
                                  reader.ListDatasets());
        for (const DatasetRow& one : all) names.push_back(one.dataset.name());
        return absl::OkStatus();
      }));
  if (!row.has_value()) {
    const std::string near = NearMisses(name, names);
    return absl::NotFoundError(absl::StrCat(
        "no dataset \"", name, "\"",
        near.empty() ? "; `foldfarm dataset list` names those there are"
                     : near));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files_.Find(row->dataset.digest()));
  FOLDFARM_ASSIGN_OR_RETURN(const auto metadata,
                            TensorFile::ReadMetadata(path));
  FOLDFARM_ASSIGN_OR_RETURN(DatasetHeader parsed,
                            ParseDatasetHeader(metadata, path));
  StoredDataset dataset{*std::move(row), std::make_shared<const DatasetHeader>(
                                             std::move(parsed))};
  absl::MutexLock lock(&mu_);
  if (datasets_.size() >= kMostDatasets) datasets_.clear();
  datasets_[name] = dataset;
  return dataset;
}

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
    v1::SweepSpec& spec, bool check_only) {
  std::vector<InputRow> inputs;
  for (int i = 0; i < spec.models_size(); ++i) {
    v1::ModelSpec& model = *spec.mutable_models(i);
    const std::string where = absl::StrCat("model ", model.name());
    const auto add = [&](absl::string_view name,
                         const std::string& digest) -> absl::Status {
      if (check_only) return absl::OkStatus();
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
