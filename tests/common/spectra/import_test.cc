// Importing a folder: what goes in, and what a user reads when it is wrong.
#include "common/spectra/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/spectra/prepared_dataset.h"
#include "common/spectra/synthesize.h"
#include "tests/common/spectra/test_files.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr char kHeader[] = "time,temp,m/z,abundance\n";

// Five scans of two m/z, from 30 to 70 C.
std::string Features() {
  std::string text = kHeader;
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&text, i, ".0,", 30 + 10 * i, ".0,10.0,", 1 + i, "e-10\n",
                    i, ".0,", 30 + 10 * i, ".0,20.0,", 2 + i, "e-10\n");
  }
  return text;
}

class ImportTest : public ::testing::Test {
 protected:
  ImportTest() {
    EXPECT_TRUE(MakeDirectories(scratch_.file("data/train_features")).ok());
    EXPECT_TRUE(MakeDirectories(scratch_.file("out")).ok());
    for (const char* id : {"S0", "S1"}) Write(FeaturesPath(id), Features());
    const std::string md5 = Md5Hex(Features());
    metadata_ = absl::StrCat(
        "sample_id,split,instrument_type,features_path,features_md5_hash\n"
        "S0,train,commercial,train_features/S0.csv,",
        md5,
        "\n"
        "S1,train,sam_testbed,train_features/S1.csv,",
        md5, "\n");
    Write("metadata.csv", metadata_);
    Write("train_labels.csv", "sample_id,basalt,sulfide\nS0,1,0\nS1,0,0\n");
    options_.directory = scratch_.file("data");
    options_.output = scratch_.file("out/dataset.safetensors");
  }

  static std::string FeaturesPath(const std::string& id) {
    return absl::StrCat("train_features/", id, ".csv");
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(scratch_.file("data/" + name), text).ok());
  }

  // Replaces S1's features and its MD5.
  void WriteFeatures(const std::string& text) {
    Write(FeaturesPath("S1"), text);
    const size_t at = metadata_.rfind(',') + 1;
    metadata_ = metadata_.substr(0, at) + Md5Hex(text) + "\n";
    Write("metadata.csv", metadata_);
  }

  // The error of an import that must fail; checks that nothing is left.
  std::string Error() {
    const auto result = ImportDataset(options_);
    EXPECT_FALSE(result.ok());
    EXPECT_THAT(*ListDirectory(scratch_.file("out")), ElementsAre());
    return std::string(result.status().message());
  }

  ScratchFolder scratch_;
  std::string metadata_;
  ImportOptions options_;
};

TEST_F(ImportTest, WritesWhatADatasetReads) {
  std::vector<int64_t> progress;
  const auto result = ImportDataset(options_, [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 2);
    progress.push_back(done);
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(progress, ElementsAre(1, 2));
  EXPECT_EQ(result->samples, 2);
  EXPECT_EQ(result->labelled, 2);
  EXPECT_EQ((result->counts.at({"train", "commercial"})), 1);
  ASSERT_EQ(result->labels.size(), 2u);
  EXPECT_EQ(result->labels[0].name, "basalt");
  EXPECT_EQ(result->labels[0].positive, 1);
  EXPECT_EQ(result->digest, *Sha256HexOfFile(options_.output));
  EXPECT_EQ(result->size_bytes, *FileSize(options_.output));
  EXPECT_THAT(*ListDirectory(scratch_.file("out")),
              ElementsAre("dataset.safetensors"));

  const auto dataset = PreparedDataset::Open(options_.output);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT((*dataset)->header().labels, ElementsAre("basalt", "sulfide"));
  EXPECT_EQ((*dataset)->header().samples[1].instrument_type, "sam_testbed");
  // S0: five scans as measured; S1: the bins from 30 to 70 C.
  EXPECT_THAT((*dataset)->scan_offset(), ElementsAre(0, 5, 16));
  EXPECT_THAT((*dataset)->temperature().subspan(0, 6),
              ElementsAre(30, 40, 50, 60, 70, 30));
  EXPECT_FLOAT_EQ((*dataset)->abundance()[10], 1.0f / 6);
  EXPECT_TRUE(std::isnan((*dataset)->abundance()[11]));
  EXPECT_THAT((*dataset)->labels(), ElementsAre(1, 0, 0, 0));
}

TEST_F(ImportTest, IsTheSameWhateverTheNumberOfThreads) {
  ScratchFolder data;
  ASSERT_TRUE(SynthesizeDataset(data.path(), {.samples = 9, .sam = 3}).ok());
  options_.directory = data.path();
  std::vector<std::string> digests;
  for (const int threads : {1, 2, 5}) {
    options_.threads = threads;
    const auto result = ImportDataset(options_);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->samples, 9 + 3 + 2 + 1);
    digests.push_back(result->digest);
  }
  EXPECT_EQ(digests[0], digests[1]);
  EXPECT_EQ(digests[0], digests[2]);
}

TEST_F(ImportTest, WindowsLineEndsAndAByteOrderMarkAreRead) {
  const auto plain = ImportDataset(options_);
  ASSERT_TRUE(plain.ok()) << plain.status();
  WriteFeatures("\xEF\xBB\xBF" +
                absl::StrReplaceAll(Features(), {{"\n", "\r\n"}}) + "\r\n");
  Write("metadata.csv",
        "\xEF\xBB\xBF" + absl::StrReplaceAll(metadata_, {{"\n", "\r\n"}}));
  const auto windows = ImportDataset(options_);
  ASSERT_TRUE(windows.ok()) << windows.status();
  EXPECT_EQ(windows->digest, plain->digest);
}

TEST_F(ImportTest, OtherColumnsInAnyOrderAreRead) {
  const auto plain = ImportDataset(options_);
  ASSERT_TRUE(plain.ok()) << plain.status();
  std::string text = "abundance,note,m/z,time,temp\n";
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&text, 1 + i, "e-10,x,10,", i, ",", 30 + 10 * i, "\n",
                    2 + i, "e-10,,20,", i, ",", 30 + 10 * i, "\n");
  }
  WriteFeatures(text);
  const auto other = ImportDataset(options_);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->digest, plain->digest);
}

TEST_F(ImportTest, AllMissingFilesAreNamedAtOnce) {
  std::string metadata = metadata_;
  for (int i = 2; i < 20; ++i) {
    absl::StrAppend(&metadata, "S", i, ",", i < 5 ? "train" : "val",
                    ",commercial,gone/S", i, ".csv,\n");
  }
  Write("metadata.csv", metadata);
  EXPECT_THAT(
      Error(),
      AllOf(HasSubstr("18 of 20 features files of metadata.csv are absent "
                      "(train 3, val 15): gone/S2.csv, gone/S3.csv"),
            HasSubstr("and 8 more"), HasSubstr("--allow-missing")));

  options_.allow_missing = true;
  const auto result = ImportDataset(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->samples, 2);
  EXPECT_EQ(result->missing.size(), 18u);
  EXPECT_EQ(result->missing_by_split.at("val"), 15);
}

TEST_F(ImportTest, CancellingLeavesNothing) {
  std::atomic<bool> cancel{false};
  options_.cancel = &cancel;
  options_.threads = 1;
  const auto result =
      ImportDataset(options_, [&](int64_t, int64_t) { cancel = true; });
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(*ListDirectory(scratch_.file("out")), ElementsAre());
}

TEST_F(ImportTest, AFailedImportKeepsTheFormerFile) {
  ASSERT_TRUE(ImportDataset(options_).ok());
  const std::string before = *ReadFile(options_.output);
  WriteFeatures("no header");
  EXPECT_FALSE(ImportDataset(options_).ok());
  EXPECT_EQ(*ReadFile(options_.output), before);
}

TEST_F(ImportTest, AnOutputFolderThatIsAbsentIsNamed) {
  options_.output = scratch_.file("nowhere/x.safetensors");
  EXPECT_THAT(std::string(ImportDataset(options_).status().message()),
              HasSubstr("nowhere/x.safetensors"));
}

TEST_F(ImportTest, SeveralBadFilesAreCountedAndNamedInOrder) {
  Write(FeaturesPath("S0"), "x\n");
  Write(FeaturesPath("S1"), "");
  const std::string error = Error();
  EXPECT_THAT(error, AllOf(HasSubstr("2 of 2 features files are bad"),
                           HasSubstr("S0.csv:1: no column \"time\""),
                           HasSubstr("S1.csv:1: the file is empty")));
  EXPECT_LT(error.find("S0.csv"), error.find("S1.csv"));
}

TEST_F(ImportTest, AWrongDigestIsReported) {
  Write(FeaturesPath("S1"), Features() + "5.0,80.0,10.0,1e-10\n");
  EXPECT_THAT(Error(), AllOf(HasSubstr("train_features/S1.csv: its MD5 is "),
                             HasSubstr("metadata.csv:3 says "),
                             HasSubstr("damaged or edited")));
}

TEST_F(ImportTest, ALineThatIsWrongIsReportedBeforeTheDigest) {
  Write(FeaturesPath("S1"), Features() + "5.0,80.");
  EXPECT_THAT(Error(), AllOf(HasSubstr("S1.csv:12: 2 fields, expected 4"),
                             HasSubstr("its MD5 is")));
}

// A features file that is wrong in one way, and the message.
struct BadFeatures {
  const char* name;
  std::string text;
  const char* message;
};

class BadFeaturesTest : public ImportTest,
                        public ::testing::WithParamInterface<BadFeatures> {};

TEST_P(BadFeaturesTest, IsRefusedWithFileAndLine) {
  WriteFeatures(GetParam().text);
  const std::string error = Error();
  EXPECT_THAT(error, AllOf(HasSubstr("train_features/S1.csv"),
                           HasSubstr(GetParam().message)));
  EXPECT_THAT(error, Not(HasSubstr("MD5")));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadFeaturesTest,
    ::testing::Values(
        BadFeatures{"Empty", "", "S1.csv:1: the file is empty"},
        BadFeatures{"OnlyAHeader", kHeader, "S1.csv:1: no readings follow"},
        BadFeatures{"Zip", "PK\x03\x04rest", "S1.csv:1: this is a zip archive"},
        BadFeatures{"Gzip", "\x1F\x8Bxxxx", "S1.csv:1: this is gzip data"},
        BadFeatures{"Binary", std::string("ab\0cd", 5),
                    "S1.csv:1: this is binary data"},
        BadFeatures{"ColumnMissing", "time,temp,abundance\n1,2,3\n",
                    "S1.csv:1: no column \"m/z\", got \"time,temp,abundance\""},
        BadFeatures{"NoNumber", Features() + "5,80,1e,3\n",
                    "S1.csv:12: m/z is \"1e\", expected a finite number"},
        BadFeatures{"EmptyField", Features() + "5,80,10,\n",
                    "S1.csv:12: abundance is \"\", expected a finite number"},
        BadFeatures{"NaN", Features() + "5,80,10,nan\n",
                    "S1.csv:12: abundance is \"nan\", expected a finite"},
        BadFeatures{"Infinite", Features() + "5,80,10,1e999\n",
                    "S1.csv:12: abundance is \"1e999\", expected a finite"},
        BadFeatures{"InfiniteTemperature", Features() + "5,inf,10,1\n",
                    "S1.csv:12: temp is \"inf\", expected a finite number"},
        BadFeatures{"AbundanceBeyondMeasure", Features() + "5,80,10,-1e300\n",
                    "S1.csv: m/z 10 at 80 C: abundance is -1e+300, -inf times "
                    "the sample's largest, 6e-10, expected at most 1e+30"},
        BadFeatures{"TooFewFields", Features() + "5,80\n",
                    "S1.csv:12: 2 fields, expected 4: \"5,80\""},
        BadFeatures{"TooManyFields", Features() + "5,80,10,1,1\n",
                    "S1.csv:12: 5 fields, expected 4"},
        BadFeatures{"TimeFalls", Features() + "1.5,80,10,1\n",
                    "S1.csv:12: time falls from 4 to 1.5"},
        BadFeatures{"NothingInRange", std::string(kHeader) + "0,10,10,1\n",
                    "S1.csv: none of 1 readings has 28 < temp < 1000"},
        BadFeatures{"TooShort", std::string(kHeader) + "0,40,10,1\n",
                    "S1.csv: every m/z spans less than 16 C"}),
    [](const auto& info) { return info.param.name; });

// A table that is wrong in one way: `from` in `file` becomes `to`.
struct BadTable {
  const char* name;
  const char* file;
  const char* from;
  const char* to;
  const char* message;
};

class BadTableTest : public ImportTest,
                     public ::testing::WithParamInterface<BadTable> {};

TEST_P(BadTableTest, IsRefusedWithFileAndLine) {
  const BadTable& bad = GetParam();
  const std::string path = scratch_.file(absl::StrCat("data/", bad.file));
  const std::string text = *ReadFile(path);
  const size_t at = text.find(bad.from);
  ASSERT_NE(at, std::string::npos);
  Write(bad.file, std::string(text).replace(at, strlen(bad.from), bad.to));
  EXPECT_THAT(Error(), HasSubstr(absl::StrCat(bad.file, ":", bad.message)));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadTableTest,
    ::testing::Values(
        BadTable{"MetadataColumnMissing", "metadata.csv", "instrument_type",
                 "instrument", "1: no column \"instrument_type\", got"},
        BadTable{"IdTwice", "metadata.csv", "S1,", "S0,",
                 "3: sample_id S0 again, it is in line 2 already"},
        BadTable{"NoId", "metadata.csv", "S1,", ",",
                 "3: sample_id is \"\", expected 1 to 100"},
        BadTable{"UnknownInstrument", "metadata.csv", "sam_testbed", "orbitrap",
                 "3: instrument_type is \"orbitrap\", expected commercial or "
                 "sam_testbed"},
        BadTable{"UnknownSplit", "metadata.csv", "train,", "trian,",
                 "2: split is \"trian\", expected train, val or test"},
        BadTable{"PathOutside", "metadata.csv", "train_features/S1",
                 "../train_features/S1", "3: features_path is \"../train"},
        BadTable{"NoDigest", "metadata.csv", ".csv,", ".csv,xyz",
                 "2: features_md5_hash is \"xyz"},
        BadTable{"CellMissing", "metadata.csv", "S1,train,", "S1,",
                 "3: 4 cells, expected 5"},
        BadTable{"LabelNotBinary", "train_labels.csv", "S0,1,0", "S0,2,0",
                 "2: basalt is \"2\", expected 0 or 1"},
        BadTable{"LabelEmpty", "train_labels.csv", "S1,0,0", "S1,0,",
                 "3: sulfide is \"\", expected 0 or 1"},
        BadTable{"LabelOfUnknownSample", "train_labels.csv", "S1,", "S9,",
                 "3: sample_id is \"S9\", expected an id of metadata.csv"},
        BadTable{"LabelsTwice", "train_labels.csv", "S1,", "S0,",
                 "3: sample_id S0 again"},
        BadTable{"LabelNotUtf8", "train_labels.csv", "sulfide",
                 "sulf\xff"
                 "ide",
                 "1: column 3 is called \"sulf\\xffide\", expected UTF-8"},
        BadTable{"LabelColumnTwice", "train_labels.csv", "sulfide", "basalt",
                 "1: column \"basalt\" twice"}),
    [](const auto& info) { return info.param.name; });

TEST_F(ImportTest, AFolderWithoutMetadataIsNamed) {
  options_.directory = scratch_.path();
  EXPECT_THAT(Error(), HasSubstr("metadata.csv"));
}

TEST_F(ImportTest, LabelFilesMustAgreeOnTheirColumns) {
  Write("val_labels.csv", "sample_id,sulfide,basalt\n");
  EXPECT_THAT(Error(), HasSubstr("val_labels.csv:1: labels are sulfide,basalt, "
                                 "expected those of the other label files"));
}

TEST_F(ImportTest, AFolderWithoutLabelsIsNamed) {
  ASSERT_TRUE(RemoveRecursively(scratch_.file("data/train_labels.csv")).ok());
  EXPECT_THAT(Error(), HasSubstr("no label file, expected train_labels.csv"));
}

TEST(SynthesizeTest, EqualSeedsGiveEqualFilesAndOthersOthers) {
  ScratchFolder a, b, c;
  const SynthesisOptions options{.samples = 3, .sam = 1, .seed = 7};
  ASSERT_TRUE(SynthesizeDataset(a.path(), options).ok());
  ASSERT_TRUE(SynthesizeDataset(b.path(), options).ok());
  ASSERT_TRUE(
      SynthesizeDataset(c.path(), {.samples = 3, .sam = 1, .seed = 8}).ok());
  EXPECT_THAT(
      *ListDirectory(a.path()),
      UnorderedElementsAre("metadata.csv", "train_labels.csv", "train_features",
                           "test_features", "submission_format.csv"));
  const std::string metadata = *ReadFile(a.file("metadata.csv"));
  EXPECT_EQ(metadata, *ReadFile(b.file("metadata.csv")));
  EXPECT_NE(metadata, *ReadFile(c.file("metadata.csv")));
  EXPECT_EQ(*ReadFile(a.file("train_labels.csv")),
            *ReadFile(b.file("train_labels.csv")));
}

TEST(SynthesizeTest, IsTheSameOnEveryMachine) {
  ScratchFolder folder;
  ASSERT_TRUE(
      SynthesizeDataset(folder.path(), {.samples = 2, .sam = 1, .seed = 1})
          .ok());
  EXPECT_EQ(Md5Hex(*ReadFile(folder.file("metadata.csv"))),
            "fddf56058659223c7916e5460f0a89cb");
}

TEST(SynthesizeTest, ImportsToTheSameBytesOnEveryMachine) {
  ScratchFolder folder;
  ASSERT_TRUE(
      SynthesizeDataset(folder.path(), {.samples = 2, .sam = 1, .seed = 1})
          .ok());
  ImportOptions options;
  options.directory = folder.path();
  options.output = folder.file("dataset.safetensors");
  const auto result = ImportDataset(options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->digest,
            "5262e64a0017df8f6012e00debeff16eb83fb582c9e111a4c3a0e5e952ff4695");
}

TEST(SynthesizeTest, AFolderThatHoldsADataSetIsLeftAlone) {
  ScratchFolder folder;
  ASSERT_TRUE(SynthesizeDataset(folder.path(), {.samples = 1, .sam = 0}).ok());
  EXPECT_EQ(SynthesizeDataset(folder.path(), {}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      SynthesizeDataset(folder.file("x"), {.samples = 0, .sam = 0}).code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace foldfarm
