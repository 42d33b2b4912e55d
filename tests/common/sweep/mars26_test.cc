// deploy/sweeps/mars26.yaml says what the recipe's table says: mars26.csv, a
// row a model, a column an option by its path; an empty cell belongs to another
// architecture. Epochs are those after which the recipe took the weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/sweep/schedule_advice.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

using Row = std::vector<std::string>;

std::vector<Row> ReadTable() {
  const auto text =
      ReadFile(FOLDFARM_SOURCE_DIR "/tests/common/sweep/mars26.csv");
  EXPECT_TRUE(text.ok()) << text.status();
  std::vector<Row> rows;
  for (const auto line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    rows.push_back(absl::StrSplit(line, ','));
  }
  return rows;
}

v1::SweepSpec Load() {
  const auto spec =
      LoadSweepFile(FOLDFARM_SOURCE_DIR "/deploy/sweeps/mars26.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : v1::SweepSpec();
}

// The value of "train.schedule.period" as text, or "" where a message of the
// path is absent. Numbers are compared as doubles by `Same`.
std::string ValueAt(const Message& message, const std::string& path) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  const Message* at = &message;
  for (size_t i = 0; i < names.size(); ++i) {
    const FieldDescriptor* field =
        at->GetDescriptor()->FindFieldByName(names[i]);
    if (field == nullptr) return absl::StrCat("no option ", path);
    const google::protobuf::Reflection& values = *at->GetReflection();
    if (!values.HasField(*at, field)) return "";
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        at = &values.GetMessage(*at, field);
        continue;
      case FieldDescriptor::CPPTYPE_BOOL:
        return values.GetBool(*at, field) ? "true" : "false";
      case FieldDescriptor::CPPTYPE_INT32:
        return absl::StrCat(values.GetInt32(*at, field));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return absl::StrCat(values.GetDouble(*at, field));
      case FieldDescriptor::CPPTYPE_ENUM:
        return absl::AsciiStrToLower(values.GetEnum(*at, field)->name());
      case FieldDescriptor::CPPTYPE_STRING:
        return values.GetString(*at, field);
      default:
        return absl::StrCat("cannot read ", path);
    }
  }
  return "";
}

bool Same(const std::string& got, const std::string& expected) {
  double got_number = 0, expected_number = 0;
  if (absl::SimpleAtod(got, &got_number) &&
      absl::SimpleAtod(expected, &expected_number)) {
    return got_number == expected_number;
  }
  // An enum's name ends with what the sweep file says.
  return got == expected || absl::EndsWith(got, absl::StrCat("_", expected));
}

TEST(Mars26Test, EveryOptionOfEveryModelIsThatOfTheRecipesTable) {
  const std::vector<Row> table = ReadTable();
  const v1::SweepSpec spec = Load();
  ASSERT_EQ(table.size(), 27u);
  ASSERT_EQ(spec.models_size(), 26);
  const Row& paths = table[0];
  for (int i = 0; i < 26; ++i) {
    const Row& row = table[i + 1];
    ASSERT_EQ(row.size(), paths.size()) << row[0];
    for (size_t column = 0; column < paths.size(); ++column) {
      const std::string got = ValueAt(spec.models(i), paths[column]);
      EXPECT_TRUE(Same(got, row[column]))
          << row[0] << ": " << paths[column] << " is '" << got
          << "', the table says '" << row[column] << "'";
    }
  }
}

TEST(Mars26Test, NoTrainingEndsBehindARestartOfTheLearningRate) {
  EXPECT_THAT(ScheduleAdvice(Load()), testing::IsEmpty());
}

TEST(Mars26Test, TheNetworksAreThePublishedOnesAndNothingElseIsSwitchedOn) {
  const v1::SweepSpec spec = Load();
  EXPECT_EQ(spec.tta(), 16);
  EXPECT_EQ(spec.order(), v1::JOB_ORDER_FOLD_MAJOR);
  EXPECT_EQ(spec.folds().count(), 4);
  for (const v1::ModelSpec& model : spec.models()) {
    SCOPED_TRACE(model.name());
    EXPECT_EQ(model.train().precision(), v1::PRECISION_BF16);
    EXPECT_EQ(model.train().loss(), v1::LOSS_BCE);
    EXPECT_EQ(model.train().momentum(), 0.9);
    EXPECT_EQ(model.train().schedule().floor(), 0.001);
    EXPECT_EQ(model.train().ema(), 0);
    EXPECT_EQ(model.train().swa_start(), 0);
    EXPECT_EQ(model.train().early_stopping(), 0);
    EXPECT_EQ(model.train().balance(), 0);
    EXPECT_EQ(model.sam_augment().prob(), 0);
    EXPECT_EQ(model.augment().he_var(), 0.001);
    EXPECT_EQ(model.augment().scale_var(), 0.05);
    EXPECT_EQ(model.stages_size(), 0);
    EXPECT_EQ(model.labels_size(), 0);
    EXPECT_EQ(model.init().weights(), "");
    const auto list = [](const auto& values) {
      return std::vector<int>(values.begin(), values.end());
    };
    const v1::ArchSpec& arch = model.arch();
    if (arch.has_resnet()) {
      EXPECT_EQ(list(arch.resnet().layers()), std::vector({3, 4, 6, 3}));
      EXPECT_EQ(list(arch.resnet().widths()), std::vector({64, 128, 256, 512}));
      EXPECT_EQ(list(arch.resnet().stem_stride()), std::vector({2, 2}));
      EXPECT_EQ(arch.resnet().head_dropout(), 0);
    } else if (arch.has_seresnext()) {
      EXPECT_EQ(list(arch.seresnext().layers()), std::vector({3, 4, 6, 3}));
      EXPECT_EQ(arch.seresnext().cardinality(), 32);
      EXPECT_EQ(arch.seresnext().base_width(), 4);
      EXPECT_EQ(arch.seresnext().head_dropout(), 0);
    } else if (arch.has_dpn()) {
      EXPECT_EQ(list(arch.dpn().layers()), std::vector({3, 4, 12, 3}));
      EXPECT_EQ(arch.dpn().groups(), 32);
      EXPECT_EQ(arch.dpn().head_dropout(), 0);
    } else if (arch.has_efficientnet()) {
      EXPECT_EQ(arch.efficientnet().width(), 1.1);
      EXPECT_EQ(arch.efficientnet().depth(), 1.2);
      EXPECT_EQ(arch.efficientnet().drop_path(), 0);
      EXPECT_EQ(arch.efficientnet().head_dropout(), 0);
    }
  }
}

}  // namespace
}  // namespace foldfarm
