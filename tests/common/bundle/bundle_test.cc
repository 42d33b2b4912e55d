#include "common/bundle/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kWeights[] = "weights of fold ";

class BundleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("bundle_test");
    bundle_.name = "mars";
    bundle_.labels = {"carbonate", "sulfate"};
    bundle_.preparation = "1";
    bundle_.tta = 4;
    bundle_.shrink = {{"commercial", 0.002}, {"sam_testbed", 0.01}};
    bundle_.sweep_id = "s3";
    bundle_.sweep_name = "mars";
    bundle_.dataset_name = "data";
    bundle_.dataset_digest = Sha256Hex("data");
    bundle_.program = "foldfarm 0.1.0";
    bundle_.oof_json = R"({"logLoss":0.1})";
    for (const char* name : {"gru", "conv"}) {
      BundleModel model;
      model.name = name;
      model.weight = 0.5;
      model.seed = 4000000000u;
      model.labels = {"carbonate", "sulfate"};
      model.model_json = R"({"name":"m","arch":{"none":{}}})";
      for (int fold = 0; fold < 2; ++fold) {
        const std::string bytes = kWeights + std::to_string(fold);
        const std::string path = std::string("models/") + name + "/" +
                                 std::to_string(fold) + ".safetensors";
        EXPECT_TRUE(MakeDirectories(DirectoryOf(Path(path))).ok());
        EXPECT_TRUE(WriteFileAtomically(Path(path), bytes).ok());
        model.folds.push_back({{.name = "weights.safetensors",
                                .path = path,
                                .digest = Sha256Hex(bytes),
                                .bytes = static_cast<int64_t>(bytes.size())}});
      }
      bundle_.models.push_back(model);
    }
    Write();
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::string Path(const std::string& name) const {
    return JoinPath(folder_, name);
  }
  void Write() {
    ASSERT_TRUE(
        WriteFileAtomically(Path("bundle.json"), BundleToJson(bundle_)).ok());
  }
  // What reading says after `change` to the document, made with care: its
  // digest is right.
  std::string Complaint(const std::function<void(Json&)>& change) {
    Json root = ParseOrderedJson(BundleToJson(bundle_));
    root.erase("digest");
    change(root);
    root["digest"] = Sha256Hex(JsonText(root));
    // The digest stands last, as it was written.
    const auto bundle = ParseBundle(JsonText(root), "b");
    EXPECT_FALSE(bundle.ok());
    return std::string(bundle.status().message());
  }

  std::string folder_;
  Bundle bundle_;
};

TEST_F(BundleTest, WhatIsWrittenIsRead) {
  const auto read = ReadBundle(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(BundleToJson(*read), BundleToJson(bundle_));
  EXPECT_EQ(read->models[1].seed, 4000000000u);
  EXPECT_EQ(read->models[1].folds[1][0].path, "models/conv/1.safetensors");
  EXPECT_THAT(read->labels, ElementsAre("carbonate", "sulfate"));
  EXPECT_EQ(read->ShrinkOf("sam_testbed"), 0.01);
  EXPECT_EQ(read->ShrinkOf("another"), 0);
  EXPECT_TRUE(VerifyBundle(*read, folder_).ok());
}

TEST_F(BundleTest, AChangedFileIsNamed) {
  const std::string path = "models/gru/1.safetensors";
  ASSERT_TRUE(WriteFileAtomically(Path(path), "weights of fold 2").ok());
  absl::Status status = VerifyBundle(*ReadBundle(folder_), folder_);
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(path), HasSubstr("SHA-256"),
                    HasSubstr(Sha256Hex("weights of fold 2"))));
  ASSERT_TRUE(WriteFileAtomically(Path(path), "short").ok());
  status = VerifyBundle(*ReadBundle(folder_), folder_);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(path), HasSubstr("5 bytes")));
  ASSERT_TRUE(RemoveRecursively(Path(path)).ok());
  EXPECT_THAT(
      std::string(VerifyBundle(*ReadBundle(folder_), folder_).message()),
      HasSubstr(path));
}

TEST_F(BundleTest, AChangedDescriptionIsNoticed) {
  std::string text = *ReadFile(Path("bundle.json"));
  const size_t at = text.find("\"weight\": 0.5");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 13, "\"weight\": 0.4");
  ASSERT_TRUE(WriteFileAtomically(Path("bundle.json"), text).ok());
  const absl::Status status = ReadBundle(folder_).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("bundle.json"), HasSubstr("changed")));
}

TEST_F(BundleTest, AFolderWithoutADescriptionIsNoBundle) {
  EXPECT_TRUE(absl::IsNotFound(ReadBundle(Path("models")).status()));
  EXPECT_THAT(std::string(ParseBundle("[]", "b").status().message()),
              HasSubstr("not a bundle"));
  EXPECT_THAT(std::string(ParseBundle("{]", "b").status().message()),
              HasSubstr("not a bundle"));
  EXPECT_THAT(
      std::string(
          ParseBundle(R"({"format": )" + std::string(1'000'000, '['), "b")
              .status()
              .message()),
      HasSubstr("nested deeper than 32 levels"));
  EXPECT_THAT(
      std::string(ParseBundle(R"({"format": "x"})", "b").status().message()),
      HasSubstr("format is \"x\""));
  const absl::Status newer =
      ParseBundle(R"({"format": "foldfarm-bundle", "version": 2})", "b")
          .status();
  EXPECT_TRUE(absl::IsFailedPrecondition(newer));
  EXPECT_THAT(std::string(newer.message()), HasSubstr("version 2"));
}

TEST_F(BundleTest, WhatCannotBeIsNamedByItsField) {
  const auto file = [](Json& root) -> Json& {
    return root["models"][1]["folds"][0]["files"][0];
  };
  EXPECT_THAT(
      Complaint([&](Json& root) { file(root)["path"] = "../../etc/passwd"; }),
      AllOf(HasSubstr("models[1].folds[0].files[0].path"),
            HasSubstr("inside the bundle")));
  EXPECT_THAT(
      Complaint([&](Json& root) { file(root)["path"] = "/etc/passwd"; }),
      HasSubstr("inside the bundle"));
  EXPECT_THAT(Complaint([&](Json& root) { file(root)["digest"] = "abc"; }),
              HasSubstr("expected a SHA-256"));
  EXPECT_THAT(Complaint([&](Json& root) { file(root)["bytes"] = "9"; }),
              HasSubstr("bytes is string, expected number"));
  EXPECT_THAT(
      Complaint([&](Json& root) { file(root)["name"] = "other.safetensors"; }),
      HasSubstr("models[1].folds[0] has no weights.safetensors"));
  EXPECT_THAT(Complaint([](Json& root) { root["models"][0]["weight"] = 0.2; }),
              HasSubstr("sum 0.7"));
  EXPECT_THAT(Complaint([](Json& root) {
                root["models"][0]["labels"] = {"sulfate", "carbonate"};
              }),
              HasSubstr("out of order"));
  EXPECT_THAT(Complaint([](Json& root) { root["models"][1]["name"] = "gru"; }),
              HasSubstr("gru twice"));
  EXPECT_THAT(Complaint([](Json& root) { root.erase("tta"); }),
              HasSubstr("tta is missing"));
  EXPECT_THAT(Complaint([](Json& root) { root["models"][0] = 7; }),
              HasSubstr("models[0] is no object"));
  EXPECT_THAT(Complaint([](Json& root) { root["models"] = Json::array(); }),
              HasSubstr("expected at least one"));
  EXPECT_THAT(Complaint([](Json& root) { root["shrink"]["commercial"] = 0.7; }),
              HasSubstr("shrink.commercial is 0.7"));
}

}  // namespace
}  // namespace foldfarm
