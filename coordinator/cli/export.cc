#include "coordinator/cli/export.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/digest.h"
#include "common/base/edit_distance.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/rpc/artifact_client.h"
#include "common/sweep/predict_alike.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/export_results.h"
#include "coordinator/cli/export_trees.h"
#include "coordinator/cli/former_export.h"
#include "coordinator/cli/inside_folder.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Json = nlohmann::ordered_json;

constexpr char kIndexFile[] = "index.json";
constexpr char kReadmeFile[] = "README.txt";

// A file to fetch.
struct Item {
  v1::ArtifactRef ref;
  std::string path;  // Below the folder: "gru/0.safetensors".
  size_t job = 0;    // Index in Exporter::jobs_.
};

class Exporter {
 public:
  Exporter(FarmClient& client, const ExportOptions& options)
      : client_(client), options_(options) {}

  absl::StatusOr<ExportReport> Export() {
    FOLDFARM_RETURN_IF_ERROR(List());
    // Its README would be of nothing.
    if (items_.empty()) return std::move(report_);
    if (options_.index) {
      FOLDFARM_RETURN_IF_ERROR(
          CheckReplaceable(options_.directory, {kIndexFile, kReadmeFile}));
    }
    FOLDFARM_RETURN_IF_ERROR(MakeDirectories(options_.directory));
    FOLDFARM_RETURN_IF_ERROR(Fetch());
    Describe();  // Index() needs it.
    if (options_.index) {
      // Before its index is gone: after a kill in between the next export still
      // knows what is left.
      if (options_.models.empty()) {
        std::set<std::string> present;
        for (const Item& item : items_) present.insert(item.path);
        FOLDFARM_ASSIGN_OR_RETURN(
            report_.removed,
            RemoveFormerExport(JoinPath(options_.directory, kIndexFile),
                               present, unfinished_models_));
      }
      FOLDFARM_RETURN_IF_ERROR(
          Write(kIndexFile, absl::StrCat(JsonText(Index(), 1), "\n")));
      FOLDFARM_RETURN_IF_ERROR(Write(kReadmeFile, Readme()));
    }
    return std::move(report_);
  }

 private:
  bool Cancelled() const { return options_.cancelled && options_.cancelled(); }

  absl::Status Write(const std::string& name, const std::string& text) {
    return WriteFileAtomically(JoinPath(options_.directory, name), text);
  }

  // Everything that there is to fetch.
  absl::Status List() {
    v1::GetSweepRequest sweep;
    sweep.set_sweep(options_.sweep);
    FOLDFARM_ASSIGN_OR_RETURN(sweep_, client_.Call(&Farm::GetSweep, sweep));
    if (!sweep_.prediction().empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          sweep_.id(), " predicts ", sweep_.prediction(),
          " and trained nothing; export the sweep that trained, or write its "
          "predictions with foldfarm predict"));
    }
    v1::GetDatasetRequest dataset;
    dataset.set_name(sweep_.dataset());
    FOLDFARM_ASSIGN_OR_RETURN(report_.dataset,
                              client_.Call(&Farm::GetDataset, dataset));
    for (const v1::LabelPrevalence& label : report_.dataset.labels()) {
      labels_.push_back(label.label());
    }
    v1::ListJobsRequest list;
    list.set_sweep(sweep_.id());
    FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs,
                              client_.Call(&Farm::ListJobs, list));
    std::vector<std::string> models;
    for (const v1::Job& job : jobs.jobs()) models.push_back(job.model());
    const std::vector<std::string>& wanted = options_.models;
    for (const std::string& model : wanted) {
      if (std::find(models.begin(), models.end(), model) != models.end()) {
        continue;
      }
      return UnknownModel(options_.sweep, model, models);
    }
    for (const v1::Job& job : jobs.jobs()) {
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(),
                                      job.model()) != wanted.end()) {
        FOLDFARM_RETURN_IF_ERROR(Add(job));
      }
    }
    return absl::OkStatus();
  }

  // What the caller may want to know of what was fetched.
  void Describe() {
    report_.sweep = sweep_;
    for (const v1::GetJobResponse& job : jobs_) {
      const std::string& name = job.job().model();
      const auto [first, is_new] = report_.models.emplace(name, job.model());
      if (!is_new && !PredictAlike(first->second, job.model())) {
        report_.mixed.insert(name);
      }
    }
    for (const Item& item : items_) {
      const v1::Job& job = jobs_[item.job].job();
      report_.exported.push_back({.ref = item.ref,
                                  .path = item.path,
                                  .model = job.model(),
                                  .fold = job.fold()});
    }
  }

  absl::Status Add(const v1::Job& job) {
    if (Cancelled()) return absl::CancelledError("Stopped.");
    if (job.state() != v1::Job::SUCCEEDED) {
      report_.unfinished.push_back(job.name());
      unfinished_models_.insert(job.model());
      return absl::OkStatus();
    }
    v1::GetJobRequest request;
    request.set_job(job.name());
    FOLDFARM_ASSIGN_OR_RETURN(v1::GetJobResponse details,
                              client_.Call(&Farm::GetJob, request));
    const std::vector<v1::ArtifactRef> refs(details.artifacts().begin(),
                                            details.artifacts().end());
    const std::map<std::string, std::string> names =
        ExportNames(refs, job.fold());
    for (const v1::ArtifactRef& ref : refs) {
      const auto name = names.find(ref.name());
      if (name == names.end()) continue;
      items_.push_back({.ref = ref,
                        .path = absl::StrCat(job.model(), "/", name->second),
                        .job = jobs_.size()});
      total_bytes_ += ref.size_bytes();
    }
    if (names.empty()) {
      report_.without_files.push_back(job.name());
    } else {
      ++report_.jobs;
    }
    jobs_.push_back(std::move(details));
    return absl::OkStatus();
  }

  absl::Status Fetch() {
    for (const Item& item : items_) {
      if (Cancelled()) return absl::CancelledError("Stopped.");
      FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                                MakePlaceInside(options_.directory, item.path));
      FOLDFARM_RETURN_IF_ERROR(RenameFormer(item, path));
      ++report_.files;
      if (IsThere(path, item.ref)) {
        ++report_.kept;
      } else {
        TransferOptions transfer;
        transfer.cancelled = options_.cancelled;
        transfer.progress = [&](int64_t done, int64_t) {
          Report(report_.bytes + done);
        };
        const absl::Status status =
            DownloadFile(client_.artifacts(), item.ref.digest(),
                         item.ref.size_bytes(), path, transfer);
        if (!status.ok()) return client_.Explain(status);
      }
      report_.bytes += item.ref.size_bytes();
      Report(report_.bytes);
    }
    return absl::OkStatus();
  }

  // Earlier versions called a label's trees FOLD.ubj, as if of all labels.
  absl::Status RenameFormer(const Item& item, const std::string& path) const {
    const v1::GetJobResponse& job = jobs_[item.job];
    if (!AreTreesOfOneLabel(item.ref.name()) ||
        std::any_of(
            job.artifacts().begin(), job.artifacts().end(),
            [](const v1::ArtifactRef& ref) { return ref.name() == kTrees; })) {
      return absl::OkStatus();
    }
    const std::string former = JoinPath(
        DirectoryOf(path), absl::StrCat(job.job().fold(), kTreesExtension));
    if (!IsThere(former, item.ref)) return absl::OkStatus();
    return PublishFile(former, path);
  }

  static bool IsThere(const std::string& path, const v1::ArtifactRef& ref) {
    if (!FileExists(path) || FileSize(path).value_or(-1) != ref.size_bytes()) {
      return false;
    }
    const auto digest = Sha256HexOfFile(path);
    return digest.ok() && *digest == ref.digest();
  }

  void Report(int64_t done) const {
    if (options_.progress) options_.progress(done, total_bytes_);
  }

  Json Index() const {
    Json index;
    index["sweep"] = sweep_.id();
    index["name"] = sweep_.name();
    index["dataset"] = sweep_.dataset();
    index["labels"] = labels_;
    index["files"] = Json::array();
    for (const Item& item : items_) {
      const v1::GetJobResponse& job = jobs_[item.job];
      Json file;
      file["path"] = item.path;
      file["what"] = item.ref.name();
      file["model"] = job.job().model();
      file["fold"] = job.job().fold();
      // Of a fold that was retried with options of its own.
      const v1::ModelSpec& usual = report_.models.at(job.job().model());
      if (!google::protobuf::util::MessageDifferencer::Equals(usual,
                                                              job.model())) {
        file["options"] = ParseOrderedJson(ModelToJson(job.model()));
      }
      file["labels"] = LabelsOfFile(job, item.ref.name(), labels_);
      file["sha256"] = item.ref.digest();
      file["bytes"] = item.ref.size_bytes();
      index["files"].push_back(std::move(file));
    }
    index["unfinished"] = report_.unfinished;
    // How each model was trained and what it is fed.
    index["models"] = Json::object();
    for (const v1::GetJobResponse& job : jobs_) {
      const std::string& name = job.job().model();
      if (index["models"].contains(name)) continue;
      index["models"][name] =
          ParseOrderedJson(ModelToJson(report_.models.at(name)));
    }
    return index;
  }

  std::string Readme() const {
    const auto weights = std::find_if(
        items_.begin(), items_.end(),
        [](const Item& item) { return item.ref.name() == kWeightsFile; });
    std::string text = absl::StrCat(
        "Models of sweep ", sweep_.id(), " (", sweep_.name(), "), trained on ",
        sweep_.dataset(), "\n\n",
        "MODEL/FOLD.safetensors     weights of the model that did not see fold "
        "FOLD\n"
        "MODEL/FOLD.ubj             trees of all labels, as XGBoost saves "
        "them\n"
        "MODEL/FOLD.model-LABEL.ubj trees of one label, index.json says which\n"
        "index.json                 what each file is, its SHA-256, the "
        "options of each model\n"
        "npy.json                   axes of the .npy arrays, where they were "
        "exported too\n\n",
        "Outputs are logits, one for each label, in this order unless "
        "index.json says\notherwise for a file:\n  ",
        absl::StrJoin(labels_, "\n  "), "\n");
    if (weights != items_.end()) {
      absl::StrAppend(
          &text,
          "\nTensors carry the names that PyTorch and timm give them: a state "
          "dict loads\nwithout renaming. Networks of timm are in "
          "\"base_model\":\n\n"
          "  from safetensors.torch import load_file\n"
          "  state = load_file(\"",
          weights->path,
          "\")\n"
          "  model.load_state_dict(state)\n\n"
          "for a torch.nn.Module whose attribute base_model is, for example,\n"
          "timm.create_model(\"resnet34\", in_chans=3, num_classes=10). For "
          "the network\nalone:\n\n"
          "  state = {k.removeprefix(\"base_model.\"): v for k, v in "
          "state.items()}\n");
    }
    return text;
  }

  FarmClient& client_;
  const ExportOptions& options_;
  v1::Sweep sweep_;
  std::vector<std::string> labels_;       // The dataset's.
  std::vector<v1::GetJobResponse> jobs_;  // That succeeded.
  std::vector<Item> items_;
  // With a job that has no result (yet): the former weights are the newest.
  std::set<std::string> unfinished_models_;
  int64_t total_bytes_ = 0;
  ExportReport report_;
};

}  // namespace

absl::Status UnknownModel(const std::string& sweep, const std::string& model,
                          const std::vector<std::string>& models) {
  const std::string near = Nearest(model, models);
  return absl::NotFoundError(absl::StrCat(
      sweep, " has no model \"", model, "\"",
      near.empty() ? "" : absl::StrCat(" (did you mean \"", near, "\"?)")));
}

std::map<std::string, std::string> ExportNames(
    const std::vector<v1::ArtifactRef>& artifacts, int fold) {
  std::vector<std::string> names;
  // Whole names differ, and no short one takes another's.
  std::set<std::string> taken;
  for (const v1::ArtifactRef& ref : artifacts) {
    if (ref.name() == kOofFile || !CheckFileName(ref.name()).ok()) continue;
    names.push_back(ref.name());
    taken.insert(absl::StrCat(fold, ".", ref.name()));
  }
  // The weights come first to the short name.
  std::stable_partition(
      names.begin(), names.end(),
      [](const std::string& name) { return name == kWeightsFile; });
  std::map<std::string, std::string> exported;
  for (const std::string& name : names) {
    exported[name] = absl::StrCat(fold, ".", name);
    const size_t dot = name.rfind('.');
    if (dot == std::string::npos || dot == 0 || AreTreesOfOneLabel(name)) {
      continue;
    }
    const std::string brief = absl::StrCat(fold, name.substr(dot));
    if (taken.insert(brief).second) exported[name] = brief;
  }
  return exported;
}

std::vector<std::string> LabelsOfModel(const v1::ModelSpec& model,
                                       const std::vector<std::string>& all) {
  if (model.labels().empty()) return all;
  const std::set<std::string> own(model.labels().begin(), model.labels().end());
  std::vector<std::string> labels;
  std::copy_if(all.begin(), all.end(), std::back_inserter(labels),
               [&](const std::string& label) { return own.count(label) > 0; });
  return labels;
}

absl::StatusOr<ExportReport> ExportModels(FarmClient& client,
                                          const ExportOptions& options) {
  return Exporter(client, options).Export();
}

}  // namespace foldfarm
