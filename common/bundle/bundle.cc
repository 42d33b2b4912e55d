#include "common/bundle/bundle.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/attempt_files.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "foldfarm-bundle";
constexpr int kVersion = 1;
// A model's options take about ten levels.
constexpr int kMaxNesting = 32;
constexpr double kRounding = 1e-6;  // Of weights that sum to 1.

// What `root` says of itself: the SHA-256 of all that it holds beside that.
std::string OwnDigest(Json root) {
  root.erase("digest");
  return Sha256Hex(JsonText(root));
}

// Reads fields of objects and keeps the first complaint.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  const absl::Status& status() const { return status_; }

  void Fail(const std::string& where, absl::string_view what) {
    if (!status_.ok()) return;
    status_ =
        absl::InvalidArgumentError(absl::StrCat(name_, ": ", where, " ", what));
  }

  // The field of that type, or null after a complaint.
  const Json* Field(const Json& object, const std::string& where,
                    const char* key, Json::value_t type) {
    const auto it = object.find(key);
    const std::string path =
        where.empty() ? key : absl::StrCat(where, ".", key);
    if (it == object.end()) {
      Fail(path, "is missing");
      return nullptr;
    }
    const bool fits =
        it->type() == type ||
        (type == Json::value_t::number_float && it->is_number()) ||
        (type == Json::value_t::number_unsigned && it->is_number_unsigned());
    if (!fits) {
      Fail(path, absl::StrCat("is ", it->type_name(), ", expected ",
                              Json(type).type_name()));
      return nullptr;
    }
    return &*it;
  }

  std::string Text(const Json& object, const std::string& where,
                   const char* key) {
    const Json* json = Field(object, where, key, Json::value_t::string);
    return json == nullptr ? "" : json->get<std::string>();
  }
  double Number(const Json& object, const std::string& where, const char* key,
                double min, double max) {
    const Json* json = Field(object, where, key, Json::value_t::number_float);
    if (json == nullptr) return min;
    const auto value = json->get<double>();
    if (!(value >= min && value <= max)) {
      Fail(where.empty() ? key : absl::StrCat(where, ".", key),
           absl::StrCat("is ", value, ", expected ", min, " to ", max));
      return min;  // Callers make integers of it.
    }
    return value;
  }
  std::vector<std::string> Texts(const Json& object, const std::string& where,
                                 const char* key) {
    std::vector<std::string> texts;
    const Json* list = Field(object, where, key, Json::value_t::array);
    if (list == nullptr) return texts;
    for (const Json& item : *list) {
      if (!item.is_string()) {
        Fail(absl::StrCat(where, ".", key), "holds something else than text");
        return texts;
      }
      texts.push_back(item.get<std::string>());
    }
    return texts;
  }

 private:
  const std::string name_;
  absl::Status status_;
};

// "models/gru/0.safetensors": inside the folder, wherever that is.
bool IsPlainPath(const std::string& path) {
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (!CheckFileName(part).ok()) return false;
  }
  return true;
}

BundleFile ReadBundleFile(const Json& json, const std::string& where,
                          Reader& reader) {
  BundleFile file;
  file.name = reader.Text(json, where, "name");
  file.path = reader.Text(json, where, "path");
  file.digest = reader.Text(json, where, "digest");
  file.bytes =
      static_cast<int64_t>(reader.Number(json, where, "bytes", 0, 1e15));
  if (!CheckFileName(file.name).ok()) {
    reader.Fail(where + ".name",
                absl::StrCat("is \"", file.name, "\", expected a file's name"));
  }
  if (!IsPlainPath(file.path)) {
    reader.Fail(where + ".path",
                absl::StrCat("is \"", file.path,
                             "\", expected a path inside the bundle"));
  }
  if (!IsSha256Hex(file.digest)) {
    reader.Fail(where + ".digest",
                absl::StrCat("is \"", file.digest, "\", expected a SHA-256"));
  }
  return file;
}

BundleModel ReadModel(const Json& json, const std::string& where,
                      const std::vector<std::string>& labels, Reader& reader) {
  BundleModel model;
  model.name = reader.Text(json, where, "name");
  model.weight = reader.Number(json, where, "weight", 0, 1);
  model.seed = static_cast<uint32_t>(
      reader.Number(json, where, "seed", 0, 4294967295.0));
  model.labels = reader.Texts(json, where, "labels");
  // In the bundle's order, each once.
  auto next = labels.begin();
  for (const std::string& label : model.labels) {
    next = std::find(next, labels.end(), label);
    if (next == labels.end()) {
      reader.Fail(where + ".labels",
                  absl::StrCat("names \"", label,
                               "\", which is not in the bundle's labels, or "
                               "out of order"));
      break;
    }
    ++next;
  }
  if (model.labels.empty()) reader.Fail(where + ".labels", "is empty");
  if (const Json* options =
          reader.Field(json, where, "model", Json::value_t::object)) {
    model.model_json = JsonText(*options);
  }
  const Json* folds = reader.Field(json, where, "folds", Json::value_t::array);
  if (folds == nullptr) return model;
  if (folds->empty()) reader.Fail(where + ".folds", "is empty");
  for (size_t f = 0; f < folds->size(); ++f) {
    const std::string at = absl::StrCat(where, ".folds[", f, "]");
    if (!(*folds)[f].is_object()) {
      reader.Fail(at, "is no object");
      return model;
    }
    const Json* files =
        reader.Field((*folds)[f], at, "files", Json::value_t::array);
    if (files == nullptr) return model;
    model.folds.emplace_back();
    for (size_t i = 0; i < files->size(); ++i) {
      const std::string its = absl::StrCat(at, ".files[", i, "]");
      if (!(*files)[i].is_object()) {
        reader.Fail(its, "is no object");
        return model;
      }
      model.folds.back().push_back(ReadBundleFile((*files)[i], its, reader));
    }
    if (FindFile(model.folds.back(), kWeightsFile) == nullptr) {
      reader.Fail(at, absl::StrCat("has no ", kWeightsFile));
    }
  }
  return model;
}

void CheckNamesAndWeights(const Bundle& bundle, Reader& reader) {
  std::set<std::string> names;
  double sum = 0;
  for (const BundleModel& model : bundle.models) {
    if (!names.insert(model.name).second) {
      reader.Fail("models", absl::StrCat("has ", model.name, " twice"));
    }
    sum += model.weight;
  }
  if (bundle.models.empty()) {
    reader.Fail("models", "is empty, expected at least one");
  } else if (std::abs(sum - 1) > kRounding) {
    reader.Fail("models",
                absl::StrCat("have weights of sum ", sum, ", expected 1"));
  }
  const std::set<std::string> labels(bundle.labels.begin(),
                                     bundle.labels.end());
  if (labels.empty() || labels.size() != bundle.labels.size()) {
    reader.Fail("labels", "is empty or names one twice");
  }
}

}  // namespace

double Bundle::ShrinkOf(const std::string& instrument_type) const {
  const auto it = shrink.find(instrument_type);
  return it == shrink.end() ? 0 : it->second;
}

absl::StatusOr<Bundle> ParseBundle(absl::string_view json,
                                   const std::string& name) {
  // What is written out again is written by recursion.
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxNesting;
    return !too_deep;
  };
  const Json root = ParseOrderedJson(json, watch);
  if (too_deep) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": not a bundle: nested deeper than ", kMaxNesting, " levels"));
  }
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": not a bundle: not a JSON object"));
  }
  Reader reader(name);
  const std::string format = reader.Text(root, "", "format");
  FOLDFARM_RETURN_IF_ERROR(reader.status());
  if (format != kFormat) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": format is \"", format, "\", expected \"", kFormat, "\""));
  }
  const double version = reader.Number(root, "", "version", 0, 1e9);
  FOLDFARM_RETURN_IF_ERROR(reader.status());
  if (version != kVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        name, ": version ", version, ", expected ", kVersion,
        "; use the program that made it, or make the bundle again"));
  }
  const std::string digest = reader.Text(root, "", "digest");
  FOLDFARM_RETURN_IF_ERROR(reader.status());
  if (digest != OwnDigest(root)) {
    return absl::DataLossError(absl::StrCat(
        name,
        ": damaged or changed: its digest is not that of what it says; "
        "make the bundle again"));
  }
  Bundle bundle;
  bundle.name = reader.Text(root, "", "name");
  bundle.labels = reader.Texts(root, "", "labels");
  bundle.preparation = reader.Text(root, "", "preparation");
  bundle.tta = static_cast<int>(reader.Number(root, "", "tta", 1, 1e6));
  bundle.program = reader.Text(root, "", "program");
  if (const Json* shrink =
          reader.Field(root, "", "shrink", Json::value_t::object)) {
    for (const auto& [instrument, unused] : shrink->items()) {
      bundle.shrink[instrument] =
          reader.Number(*shrink, "shrink", instrument.c_str(), 0, 0.5);
    }
  }
  if (const Json* sweep =
          reader.Field(root, "", "sweep", Json::value_t::object)) {
    bundle.sweep_id = reader.Text(*sweep, "sweep", "id");
    bundle.sweep_name = reader.Text(*sweep, "sweep", "name");
  }
  if (const Json* dataset =
          reader.Field(root, "", "dataset", Json::value_t::object)) {
    bundle.dataset_name = reader.Text(*dataset, "dataset", "name");
    bundle.dataset_digest = reader.Text(*dataset, "dataset", "digest");
  }
  if (const Json* oof = reader.Field(root, "", "oof", Json::value_t::object)) {
    bundle.oof_json = JsonText(*oof);
  }
  const Json* models = reader.Field(root, "", "models", Json::value_t::array);
  for (size_t i = 0; models != nullptr && i < models->size(); ++i) {
    const std::string where = absl::StrCat("models[", i, "]");
    if (!(*models)[i].is_object()) {
      reader.Fail(where, "is no object");
      break;
    }
    bundle.models.push_back(
        ReadModel((*models)[i], where, bundle.labels, reader));
  }
  CheckNamesAndWeights(bundle, reader);
  FOLDFARM_RETURN_IF_ERROR(reader.status());
  return bundle;
}

absl::StatusOr<Bundle> ReadBundle(const std::string& directory) {
  const std::string path = JoinPath(directory, kBundleFile);
  if (!FileExists(path)) {
    return absl::NotFoundError(
        absl::StrCat(directory, " is not a bundle: it has no ", kBundleFile));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseBundle(text, path);
}

absl::Status VerifyBundle(
    const Bundle& bundle, const std::string& directory,
    const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<const BundleFile*> files;
  int64_t total = 0, done = 0;
  for (const BundleModel& model : bundle.models) {
    for (const std::vector<BundleFile>& fold : model.folds) {
      for (const BundleFile& file : fold) {
        files.push_back(&file);
        total += file.bytes;
      }
    }
  }
  for (const BundleFile* file : files) {
    const std::string path = JoinPath(directory, file->path);
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
    if (size != file->bytes) {
      return absl::DataLossError(
          absl::StrCat(path, ": damaged or changed: it has ", size, " bytes, ",
                       kBundleFile, " says ", file->bytes));
    }
    FOLDFARM_ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(path));
    if (digest != file->digest) {
      return absl::DataLossError(
          absl::StrCat(path, ": damaged or changed: its SHA-256 is ", digest,
                       ", ", kBundleFile, " says ", file->digest));
    }
    done += size;
    if (progress) progress(done, total);
  }
  return absl::OkStatus();
}

std::string BundleToJson(const Bundle& bundle) {
  Json root;
  root["format"] = kFormat;
  root["version"] = kVersion;
  root["name"] = bundle.name;
  root["program"] = bundle.program;
  root["sweep"] = {{"id", bundle.sweep_id}, {"name", bundle.sweep_name}};
  root["dataset"] = {{"name", bundle.dataset_name},
                     {"digest", bundle.dataset_digest}};
  root["preparation"] = bundle.preparation;
  root["labels"] = bundle.labels;
  root["tta"] = bundle.tta;
  root["shrink"] = bundle.shrink;
  root["oof"] = ParseOrderedJson(bundle.oof_json);
  root["models"] = Json::array();
  for (const BundleModel& model : bundle.models) {
    Json folds = Json::array();
    for (const std::vector<BundleFile>& fold : model.folds) {
      Json files = Json::array();
      for (const BundleFile& file : fold) {
        files.push_back({{"name", file.name},
                         {"path", file.path},
                         {"digest", file.digest},
                         {"bytes", file.bytes}});
      }
      folds.push_back({{"files", std::move(files)}});
    }
    root["models"].push_back({{"name", model.name},
                              {"weight", model.weight},
                              {"seed", model.seed},
                              {"labels", model.labels},
                              {"model", ParseOrderedJson(model.model_json)},
                              {"folds", std::move(folds)}});
  }
  root["digest"] = OwnDigest(root);
  return absl::StrCat(JsonText(root, 1), "\n");
}

const BundleFile* FindFile(const std::vector<BundleFile>& files,
                           absl::string_view name) {
  for (const BundleFile& file : files) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

}  // namespace foldfarm
