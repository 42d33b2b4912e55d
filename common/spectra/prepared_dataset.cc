#include "common/spectra/prepared_dataset.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepare.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "foldfarm-prepared";

absl::Status Malformed(const std::string& name, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": not a valid prepared dataset: ", what));
}

absl::StatusOr<std::string> Find(
    const std::map<std::string, std::string>& metadata, const std::string& key,
    const std::string& name) {
  const auto it = metadata.find(key);
  if (it == metadata.end()) {
    return Malformed(name, absl::StrCat("no metadata '", key, "'"));
  }
  return it->second;
}

bool ReadString(const Json& object, const char* key, std::string* out) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return false;
  *out = it->get<std::string>();
  return true;
}

}  // namespace

absl::StatusOr<DatasetHeader> ParseDatasetHeader(
    const std::map<std::string, std::string>& metadata,
    const std::string& name) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string format,
                            Find(metadata, "format", name));
  if (format != kFormat) {
    return Malformed(name, absl::StrCat("its format is '", format,
                                        "', expected '", kFormat, "'"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string version,
                            Find(metadata, "format_version", name));
  if (version != kPreparationVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": format version ", version, ", expected ",
                     kPreparationVersion, "; import the dataset again"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string labels_text,
                            Find(metadata, "labels", name));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string samples_text,
                            Find(metadata, "samples", name));
  const Json labels = ParseJson(labels_text);
  const Json samples = ParseJson(samples_text);
  if (!labels.is_array() || !samples.is_array()) {
    return Malformed(name, "labels and samples must be JSON arrays");
  }
  DatasetHeader header;
  std::set<std::string> label_names;
  for (const Json& label : labels) {
    if (!label.is_string()) return Malformed(name, "a label is no string");
    header.labels.push_back(label.get<std::string>());
    if (!label_names.insert(header.labels.back()).second) {
      return Malformed(name,
                       absl::StrCat("label twice: ", header.labels.back()));
    }
  }
  std::set<std::string> ids;
  for (const Json& row : samples) {
    SampleInfo sample;
    const std::string where = absl::StrCat("sample ", header.samples.size());
    if (!row.is_object() || !ReadString(row, "id", &sample.id) ||
        !ReadString(row, "split", &sample.split) ||
        !ReadString(row, "instrument_type", &sample.instrument_type) ||
        !row.contains("labelled") || !row["labelled"].is_boolean()) {
      return Malformed(name, absl::StrCat(where,
                                          " lacks one of id, split, "
                                          "instrument_type, labelled"));
    }
    sample.labelled = row["labelled"].get<bool>();
    if (!ids.insert(sample.id).second) {
      return Malformed(name, absl::StrCat(where, ": id twice: ", sample.id));
    }
    header.samples.push_back(std::move(sample));
  }
  return header;
}

absl::StatusOr<std::shared_ptr<const PreparedDataset>> PreparedDataset::Open(
    const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(auto file, TensorFile::Open(path));
  return FromFile(std::move(file), path);
}

absl::StatusOr<std::shared_ptr<const PreparedDataset>>
PreparedDataset::FromFile(std::shared_ptr<const TensorFile> file,
                          const std::string& name) {
  auto dataset = std::shared_ptr<PreparedDataset>(new PreparedDataset);
  PreparedDataset& d = *dataset;
  FOLDFARM_ASSIGN_OR_RETURN(d.header_,
                            ParseDatasetHeader(file->metadata(), name));
  const int64_t n = d.num_samples();
  FOLDFARM_ASSIGN_OR_RETURN(d.scan_offset_, file->I64("scan_offset", {n + 1}));
  FOLDFARM_ASSIGN_OR_RETURN(d.temperature_, file->F64("temperature", {-1}));
  const auto scans = static_cast<int64_t>(d.temperature_.size());
  FOLDFARM_ASSIGN_OR_RETURN(d.abundance_,
                            file->F32("abundance", {scans, kNumMz}));
  FOLDFARM_ASSIGN_OR_RETURN(d.baseline_,
                            file->F32("baseline", {scans, kNumMz}));
  FOLDFARM_ASSIGN_OR_RETURN(d.offsets_,
                            file->F32("offsets", {n, kNumMz, kNumOffsets}));
  FOLDFARM_ASSIGN_OR_RETURN(
      d.offsets_baseline_,
      file->F32("offsets_baseline", {n, kNumMz, kNumOffsets}));
  FOLDFARM_ASSIGN_OR_RETURN(d.labels_, file->U8("labels", {n, d.num_labels()}));

  int64_t previous = 0;
  for (const int64_t offset : d.scan_offset_) {
    if (offset < previous || offset > scans) {
      return Malformed(
          name, absl::StrCat("scan_offset holds ", offset, " after ", previous,
                             ", of ", scans, " scans"));
    }
    previous = offset;
  }
  if (d.scan_offset_.front() != 0 || previous != scans) {
    return Malformed(name, "scan_offset does not cover all scans");
  }
  for (const double temperature : d.temperature_) {
    if (!std::isfinite(temperature)) {
      return Malformed(name, "a temperature is not finite");
    }
  }
  for (const uint8_t label : d.labels_) {
    if (label > 1) {
      return Malformed(name, absl::StrCat("label ", label, " is not 0 or 1"));
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    d.index_[d.header_.samples[static_cast<size_t>(i)].id] = i;
  }
  d.file_ = std::move(file);
  return std::shared_ptr<const PreparedDataset>(std::move(dataset));
}

absl::StatusOr<int64_t> PreparedDataset::IndexOf(const std::string& id) const {
  const auto it = index_.find(id);
  if (it == index_.end()) {
    return absl::NotFoundError(absl::StrCat("no sample ", id));
  }
  return it->second;
}

}  // namespace foldfarm
