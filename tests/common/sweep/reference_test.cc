// The annotations of sweep.proto are sound, and so is the page made of them.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/sweep/message_reader.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using testing::HasSubstr;
using testing::Not;

void ForEachField(const Descriptor& type,
                  const std::function<void(const FieldDescriptor&)>& visit,
                  std::set<const Descriptor*>& seen) {
  if (!seen.insert(&type).second) return;
  for (int i = 0; i < type.field_count(); ++i) {
    visit(*type.field(i));
    if (type.field(i)->message_type() != nullptr) {
      ForEachField(*type.field(i)->message_type(), visit, seen);
    }
  }
}

TEST(RuleTest, EveryDefaultIsALegalValueOfItsOption) {
  int defaults = 0;
  std::set<const Descriptor*> seen;
  ForEachField(
      *v1::SweepSpec::descriptor(),
      [&](const FieldDescriptor& field) {
        if (RuleOf(field).default_().empty()) return;
        ++defaults;
        const std::unique_ptr<google::protobuf::Message> message(
            google::protobuf::MessageFactory::generated_factory()
                ->GetPrototype(field.containing_type())
                ->New());
        const auto value = ReadYaml(RuleOf(field).default_(), "rule");
        ASSERT_TRUE(value.ok()) << field.full_name();
        SweepErrors errors(field.full_name());
        ReadField(**value, field, *message, errors);
        EXPECT_TRUE(errors.empty()) << errors.ToStatus();
      },
      seen);
  EXPECT_GT(defaults, 40);
}

TEST(RuleTest, NoOptionIsOfATypeThatTheReaderDoesNotKnow) {
  std::set<const Descriptor*> seen;
  ForEachField(
      *v1::SweepSpec::descriptor(),
      [](const FieldDescriptor& field) {
        EXPECT_NE(field.cpp_type(), FieldDescriptor::CPPTYPE_INT64)
            << field.full_name();
        EXPECT_NE(field.cpp_type(), FieldDescriptor::CPPTYPE_UINT64)
            << field.full_name();
        EXPECT_NE(field.cpp_type(), FieldDescriptor::CPPTYPE_FLOAT)
            << field.full_name();
      },
      seen);
}

TEST(DescribeOptionsTest, SaysWhatAnOptionTakesAndWhatItMeans) {
  const std::string text = DescribeOptions();
  EXPECT_THAT(text, HasSubstr("\n## `models[].representation`\n"));
  EXPECT_THAT(text, HasSubstr("| `temp_step` | number | `12` | 1 to 100 "
                              "degrees C | Width of a column. |\n"));
  EXPECT_THAT(text,
              HasSubstr("| `precision` | fp32 or bf16 | `fp32` |  | Of the "
                        "numbers that layers compute with. `fp32`: 32-bit"));
  EXPECT_THAT(text, HasSubstr("| `name` | text | required |  | Names the"));
  EXPECT_THAT(text, HasSubstr("| `layers` | list of whole numbers | "
                              "`[3, 4, 6, 3]` | 1 to 100 blocks | Blocks"));
  EXPECT_THAT(text, HasSubstr("| `positive_weights` | map of text to numbers "
                              "|  | more than 0, at most 1000 |"));
  EXPECT_THAT(text, HasSubstr("## `models[].stages[].train`\n\nHow a network "
                              "is trained.\n\nOptions as of "
                              "[`models[].train`](#modelstrain)."));
  for (const char* internal : {"assignment", "digest", "uploaded"}) {
    EXPECT_THAT(text, Not(HasSubstr(absl::StrCat("| `", internal, "`"))));
  }
}

TEST(DescribeOptionsTest, EveryOptionIsExplained) {
  for (const absl::string_view line : absl::StrSplit(DescribeOptions(), '\n')) {
    EXPECT_FALSE(absl::EndsWith(line, "|  |")) << line;
  }
}

TEST(UpdateOptionsPageTest, ThePageOfTheSweepsIsUpToDate) {
  const std::string path =
      JoinPath(FOLDFARM_SOURCE_DIR, "deploy/sweeps/README.md");
  const std::string page = ReadFile(path).value();
  const absl::StatusOr<std::string> updated = UpdateOptionsPage(page);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_TRUE(*updated == page)
      << "sweep.proto has changed; bring the page up to date with:\n  "
      << FOLDFARM_BIN_DIR << "/foldfarm options --update " << path;
}

TEST(UpdateOptionsPageTest, WhatPeopleWroteAroundTheOptionsStays) {
  const std::string begin =
      "<!-- options: made by `foldfarm options --update`; do not edit -->\n";
  const std::string end = "<!-- options: end -->\n";
  EXPECT_EQ(*UpdateOptionsPage(
                absl::StrCat("# Before\n", begin, "old\n", end, "# After\n")),
            absl::StrCat("# Before\n", begin, "\n", DescribeOptions(), "\n",
                         end, "# After\n"));
  for (const std::string& page :
       {std::string("# No marks\n"), begin, end, end + begin}) {
    EXPECT_EQ(UpdateOptionsPage(page).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace foldfarm
