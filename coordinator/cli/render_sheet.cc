#include "coordinator/cli/render_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/spectra/sample_table.h"
#include "coordinator/cli/format.h"
#include "google/protobuf/descriptor.h"

namespace foldfarm {
namespace {

constexpr int64_t kPanelValues = kPanelRows * kPanelColumns;
// The recipe's first column.
constexpr double kFirstCelsius = 30;

// A group of images, how it is called and explained, and whether the model has
// it.
struct Group {
  std::string name;
  std::string title;
  std::string detail;
  bool on = true;
};

// "in 25 % of draws".
std::string Rate(double probability) {
  return absl::StrCat("in ", std::round(probability * 1000) / 10,
                      " % of draws");
}

std::vector<Group> GroupsOf(const v1::ModelSpec& model) {
  const v1::RepresentationSpec& shape = model.representation();
  const v1::AugmentSpec& augment = model.augment();
  return {
      {"plain", "before augmentation",
       absl::StrCat(
           "nearest scans and mean offsets, then draws: scans within ±",
           shape.temp_query_range(), " °C, any mix of offsets")},
      {"augment", "augment",
       absl::StrCat("m/z rows × 2^N(0, ", augment.mz_var(),
                    "), helium × 2^N(0, ", augment.he_var(),
                    "), image × 2^N(0, ", augment.scale_var(), ")"),
       augment.mz_var() > 0 || augment.he_var() > 0 || augment.scale_var() > 0},
      {"baseline", "baseline subtracted", Rate(augment.sub_bg_prob()),
       augment.sub_bg_prob() > 0},
      {"mixing", "mixing",
       absl::StrCat("maximum or mean with another train sample, ",
                    Rate(augment.mix_prob()), "; labels of both"),
       augment.mix_prob() > 0},
      {"sam_augment", "sam_augment",
       absl::StrCat("made to look like the SAM testbed's, ",
                    Rate(model.sam_augment().prob()), " of commercial samples"),
       model.sam_augment().prob() > 0},
      {"training", "training", "all of it together, each as often as it is"},
  };
}

// What the numbers of an image are.
void Scale(const v1::RepresentationSpec& shape, ContactSheet& sheet) {
  const std::string ratio = shape.normalize_m_separately()
                                ? "abundance / largest of its m/z"
                                : "abundance / largest of the image";
  if (!shape.log_space()) {
    sheet.unit = ratio;
    return;
  }
  if (shape.norm_to_one()) {
    sheet.unit = absl::StrCat("1 + log10(", ratio, ") / ",
                              -std::log10(shape.min_clip()));
    return;
  }
  sheet.unit = absl::StrCat("log10 of ", ratio);
  sheet.low = std::log10(shape.min_clip());
  sheet.high = 0;
}

std::string LabelText(absl::Span<const float> has,
                      const std::vector<std::string>& names) {
  std::vector<std::string> present;
  for (size_t i = 0; i < names.size(); ++i) {
    if (has[i] > 0) present.push_back(names[i]);
  }
  return present.empty() ? "no label" : absl::StrJoin(present, ", ");
}

// The panels of one group; those whose labels are not the sample's say so.
absl::Status AddPanels(const TensorFile& images, const std::string& name,
                       const std::vector<std::string>& label_names,
                       absl::Span<const float> own_labels, SheetRow& row) {
  const auto num_labels = static_cast<int64_t>(label_names.size());
  FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const float> values,
                            images.F32(name, {-1, kPanelRows, kPanelColumns}));
  const auto draws = static_cast<int64_t>(values.size()) / kPanelValues;
  FOLDFARM_ASSIGN_OR_RETURN(
      const absl::Span<const float> labels,
      images.F32(absl::StrCat(name, "/labels"), {draws, num_labels}));
  for (int64_t draw = 0; draw < draws; ++draw) {
    SheetPanel panel;
    const auto image = values.subspan(draw * kPanelValues, kPanelValues);
    panel.values.assign(image.begin(), image.end());
    const auto its_labels = labels.subspan(draw * num_labels, num_labels);
    if (its_labels != own_labels) {
      panel.caption = LabelText(its_labels, label_names);
    }
    row.panels.push_back(std::move(panel));
  }
  return absl::OkStatus();
}

absl::StatusOr<SheetSection> SectionOf(const TensorFile& images,
                                       const PreparedDataset& dataset,
                                       const v1::ModelSpec& model,
                                       const std::string& id) {
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t index, dataset.IndexOf(id));
  const SampleInfo& info = dataset.header().samples[index];
  const bool commercial = info.instrument_type == kCommercial;
  const std::vector<std::string>& names = dataset.header().labels;
  std::vector<float> own;
  for (const uint8_t has : dataset.labels().subspan(
           index * dataset.num_labels(), dataset.num_labels())) {
    own.push_back(has);
  }
  SheetSection section;
  section.title = id;
  section.detail =
      absl::StrCat(info.instrument_type == kSamTestbed ? "SAM testbed"
                                                       : info.instrument_type,
                   ", split ", info.split, ": ",
                   info.labelled ? LabelText(own, names) : "labels unknown");
  std::vector<std::string> off;
  for (const Group& group : GroupsOf(model)) {
    if (!group.on) {
      off.push_back(group.title);
      continue;
    }
    const std::string name = absl::StrCat(id, "/", group.name);
    // Nobody to mix with, nothing to make like SAM.
    if (images.tensors().count(name) == 0) continue;
    SheetRow row;
    row.title = group.title;
    row.detail = group.detail;
    if (group.name == "plain") {
      FOLDFARM_RETURN_IF_ERROR(
          AddPanels(images, absl::StrCat(id, "/fixed"), names, own, row));
      row.panels[0].caption = "without chance";
    } else {
      row.panels.emplace_back();  // Under it.
    }
    FOLDFARM_RETURN_IF_ERROR(AddPanels(images, name, names, own, row));
    if (group.name == "plain") {
      for (size_t draw = 1; draw < row.panels.size(); ++draw) {
        row.panels[draw].caption = absl::StrCat("draw ", draw);
      }
    }
    section.rows.push_back(std::move(row));
  }
  if (!off.empty()) {
    absl::StrAppend(&section.detail,
                    "  ·  not in this model: ", absl::StrJoin(off, ", "));
  }
  if (model.sam_augment().prob() > 0 && !commercial) {
    absl::StrAppend(&section.detail,
                    "  ·  sam_augment changes commercial samples alone");
  }
  return section;
}

}  // namespace

std::string ArchName(const v1::ModelSpec& model) {
  const google::protobuf::OneofDescriptor& kind =
      *v1::ArchSpec::descriptor()->FindOneofByName("kind");
  const google::protobuf::FieldDescriptor* field =
      model.arch().GetReflection()->GetOneofFieldDescriptor(model.arch(),
                                                            &kind);
  return field == nullptr ? "" : field->name();
}

absl::StatusOr<ContactSheet> SheetOfImages(
    const TensorFile& images, const PreparedDataset& dataset,
    const v1::ModelSpec& model, const std::vector<std::string>& samples) {
  ContactSheet sheet;
  sheet.title = absl::StrCat("What ", model.name(), " sees");
  sheet.first_celsius = kFirstCelsius;
  sheet.step_celsius = model.representation().temp_step();
  Scale(model.representation(), sheet);
  for (const std::string& id : samples) {
    FOLDFARM_ASSIGN_OR_RETURN(SheetSection section,
                              SectionOf(images, dataset, model, id));
    sheet.sections.push_back(std::move(section));
  }
  return sheet;
}

}  // namespace foldfarm
