// The annotations of sweep.proto are sound, and so is the page made of them.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>

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

TEST(DescribeOptionsTest, ThePageGivesDefaultsRangesAndUnits) {
  const std::string page = DescribeOptions();
  EXPECT_THAT(page, HasSubstr("\n## `models[].representation`\n"));
  EXPECT_THAT(page, HasSubstr("| `temp_step` | number | `12` | "
                              "1 to 100 degrees C |\n"));
  EXPECT_THAT(page, HasSubstr("| `optimizer` | adamw or sgd or adam | `adamw` |  |\n"));
  EXPECT_THAT(page, HasSubstr("| `name` | text | required |  |\n"));
  EXPECT_THAT(page, HasSubstr("| `layers` | list of whole numbers | "
                              "`[3, 4, 6, 3]` | 1 to 100 blocks |\n"));
  EXPECT_THAT(page, Not(HasSubstr("assignment")));
}

}  // namespace
}  // namespace foldfarm
