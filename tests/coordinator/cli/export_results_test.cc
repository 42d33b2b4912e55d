// Event files and .npy arrays, read back by readers of their own: a bitwise
// CRC-32C, a varint parser and a record reader that share nothing with the
// writers.
#include "coordinator/cli/export_results.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "coordinator/cli/export.h"
#include "coordinator/cli/npy.h"
#include "coordinator/cli/tfevents.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

uint32_t BitwiseCrc(absl::string_view data) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) {
      crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
    }
  }
  return ~crc;
}

uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xA282EAD8u;
  return rotated >> 17 | rotated << 15;
}

template <typename T>
T Take(absl::string_view& data) {
  T value{};
  EXPECT_GE(data.size(), sizeof(T));
  if (data.size() < sizeof(T)) return value;
  std::memcpy(&value, data.data(), sizeof(T));
  data.remove_prefix(sizeof(T));
  return value;
}

// The records of a file, each checksum verified.
std::vector<std::string> Records(absl::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    const absl::string_view size_bytes = file.substr(0, 8);
    const auto size = Take<uint64_t>(file);
    EXPECT_EQ(Unmask(Take<uint32_t>(file)), BitwiseCrc(size_bytes));
    EXPECT_LE(size, file.size());
    const absl::string_view data = file.substr(0, size);
    file.remove_prefix(data.size());
    EXPECT_EQ(Unmask(Take<uint32_t>(file)), BitwiseCrc(data));
    records.push_back(std::string(data));
  }
  return records;
}

uint64_t TakeVarint(absl::string_view& data) {
  uint64_t value = 0;
  for (int shift = 0; !data.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(data[0]);
    data.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  ADD_FAILURE() << "a varint without an end";
  return value;
}

// A message's fields by number, each as its raw bytes (varints as text).
std::multimap<int, std::string> Fields(absl::string_view data) {
  std::multimap<int, std::string> fields;
  while (!data.empty()) {
    const uint64_t key = TakeVarint(data);
    const int field = static_cast<int>(key >> 3);
    size_t size = 0;
    switch (key & 7) {
      case 0:
        fields.emplace(field, absl::StrCat(TakeVarint(data)));
        continue;
      case 1:
        size = 8;
        break;
      case 2:
        size = TakeVarint(data);
        break;
      case 5:
        size = 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return fields;
    }
    EXPECT_LE(size, data.size());
    fields.emplace(field, std::string(data.substr(0, size)));
    data.remove_prefix(std::min(size, data.size()));
  }
  return fields;
}

std::string Field(absl::string_view message, int number) {
  const auto fields = Fields(message);
  const auto found = fields.find(number);
  return found == fields.end() ? "" : found->second;
}

template <typename T>
T Number(absl::string_view bytes) {
  return Take<T>(bytes);
}

// "1@2.5 a=0.5 b=2": step, wall time and scalars of every event with a summary
// of numbers.
std::vector<std::string> Scalars(absl::string_view file) {
  std::vector<std::string> all;
  for (const std::string& event : Records(file)) {
    std::string text =
        absl::StrCat(Field(event, 2), "@", Number<double>(Field(event, 1)));
    bool numbers = false;
    for (const auto& [number, value] : Fields(Field(event, 5))) {
      const std::string simple = Field(value, 2);
      if (number != 1 || simple.size() != 4) continue;
      numbers = true;
      absl::StrAppend(&text, " ", Field(value, 1), "=", Number<float>(simple));
    }
    if (numbers) all.push_back(text);
  }
  return all;
}

TEST(EventFileTest, AnotherReaderFindsTheVersionAndEveryNumber) {
  EventFile file(absl::FromUnixSeconds(100));
  file.AddScalars(absl::FromUnixMillis(101500), 1,
                  {{"validation/log_loss", 0.5}, {"train/lr", 0.25}});
  file.AddScalars(absl::FromUnixSeconds(103), 300, {{"train/lr", -2}});
  const std::vector<std::string> records = Records(file.bytes());
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(Field(records[0], 3), "brain.Event:2");
  EXPECT_EQ(Number<double>(Field(records[0], 1)), 100);
  EXPECT_THAT(Scalars(file.bytes()),
              ElementsAre("1@101.5 validation/log_loss=0.5 train/lr=0.25",
                          "300@103 train/lr=-2"));
}

TEST(EventFileTest, TextIsAStringTensorOfTheTextPlugin) {
  EventFile file(absl::FromUnixSeconds(1));
  const std::string long_text(100000, 'x');
  file.AddText(absl::FromUnixSeconds(2), 0, "options", long_text);
  const std::string value = Field(Field(Records(file.bytes())[1], 5), 1);
  EXPECT_EQ(Field(value, 1), "options");
  const std::string tensor = Field(value, 8);
  EXPECT_EQ(Field(tensor, 1), "7");
  EXPECT_EQ(Field(Field(Field(tensor, 2), 2), 1), "1");
  EXPECT_EQ(Field(tensor, 8), long_text);
  EXPECT_EQ(Field(Field(Field(value, 9), 1), 1), "text");
}

google::protobuf::Timestamp At(int64_t seconds) {
  google::protobuf::Timestamp time;
  time.set_seconds(seconds);
  return time;
}

// Two attempts: the first ended at 130, the second began at 200.
JobRecord TwoAttempts() {
  JobRecord job;
  *job.details.mutable_job()->mutable_create_time() = At(50);
  job.details.mutable_job()->set_model("gru");
  job.details.mutable_job()->set_name("s1/gru/2");
  job.details.mutable_job()->set_fold(2);
  job.attempts.resize(2);
  job.attempts[0].set_token(7);
  *job.attempts[0].mutable_start_time() = At(100);
  *job.attempts[0].mutable_end_time() = At(130);
  job.attempts[1].set_token(9);
  *job.attempts[1].mutable_start_time() = At(200);
  int number = 0;
  for (const int token : {7, 7, 7, 9}) {
    v1::EpochMetrics& epoch = *job.metrics.add_epochs();
    epoch.set_epoch(++number);
    epoch.set_token(token);
    (*epoch.mutable_values())["seconds"] = 12;
    (*epoch.mutable_values())["log_loss"] = 1.0 / number;
  }
  return job;
}

std::vector<int64_t> SecondsOf(const JobRecord& job) {
  std::vector<int64_t> seconds;
  for (const absl::Time time : EpochTimes(job)) {
    seconds.push_back(absl::ToUnixSeconds(time));
  }
  return seconds;
}

TEST(EpochTimesTest, EpochsFollowTheirAttemptAndDoNotOutliveIt) {
  EXPECT_THAT(SecondsOf(TwoAttempts()), ElementsAre(112, 124, 130, 212));
}

TEST(EpochTimesTest, WhatWasTakenOverCameBeforeTheFirstAttempt) {
  JobRecord job = TwoAttempts();
  job.metrics.mutable_epochs(0)->set_token(1);
  job.metrics.mutable_epochs(1)->set_token(1);
  EXPECT_THAT(SecondsOf(job), ElementsAre(88, 100, 112, 212));
}

TEST(EpochTimesTest, NothingRunsBackwards) {
  JobRecord job = TwoAttempts();
  // An epoch of nobody known, and one that claims to have taken no time.
  job.metrics.mutable_epochs(1)->set_token(1);
  (*job.metrics.mutable_epochs(3)->mutable_values())["seconds"] = -1;
  EXPECT_THAT(SecondsOf(job), ElementsAre(112, 124, 124, 200));
  job.attempts.clear();
  job.metrics.mutable_epochs(3)->set_token(1);
  EXPECT_THAT(SecondsOf(job), ElementsAre(62, 74, 74, 74));
}

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeTemporaryDirectory("tfevents_test").value();
  }
  void TearDown() override { ASSERT_TRUE(RemoveRecursively(folder_).ok()); }
  std::string folder_;
};

TEST_F(FilesTest, ARunAJobWithItsEpochsResultAndOptions) {
  SweepResults results;
  results.sweep.mutable_spec()->set_tta(4);
  results.jobs.push_back(TwoAttempts());
  (*results.jobs[0].metrics.mutable_result())["log_loss"] = 0.125;
  results.jobs[0].details.mutable_model()->set_name("gru");
  JobRecord silent = TwoAttempts();
  silent.details.mutable_job()->set_fold(3);
  silent.metrics.Clear();
  results.jobs.push_back(silent);
  WrittenFiles written;
  ASSERT_TRUE(WriteTensorBoard(results, folder_, written).ok());
  EXPECT_EQ(written.files, 1);
  const auto file =
      ReadFile(JoinPath(folder_, "gru/2/events.out.tfevents.50.foldfarm"));
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(Scalars(*file),
              ElementsAre("1@112 validation/log_loss=1 speed/seconds=12",
                          "2@124 validation/log_loss=0.5 speed/seconds=12",
                          HasSubstr("3@130 validation/log_loss=0.333333"),
                          "4@212 validation/log_loss=0.25 speed/seconds=12",
                          "4@212 result/log_loss=0.125"));
  EXPECT_THAT(Records(*file)[1], HasSubstr("tta: 4\nmodels:\n  - {name: gru"));
}

TEST(NpyTest, EveryByteIsAsTheFormatSays) {
  const std::string file = NpyF64({2, 1}, {1.5, -2});
  ASSERT_EQ(file.size(), 128u + 16u);
  EXPECT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(static_cast<unsigned char>(file[8]), 118);  // 128 - 10.
  EXPECT_EQ(file[9], 0);
  const std::string dict =
      "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }";
  EXPECT_EQ(file.substr(10, dict.size()), dict);
  EXPECT_EQ(file.find_first_not_of(' ', 10 + dict.size()), 127u);
  EXPECT_EQ(file[127], '\n');
  EXPECT_EQ(Number<double>(file.substr(128)), 1.5);
  EXPECT_EQ(Number<double>(file.substr(136)), -2);
  // One axis has a comma; an axis may be empty.
  EXPECT_THAT(NpyI32({3}, {1, 2, 3}), HasSubstr("'<i4', 'fortran_order': "
                                                "False, 'shape': (3,), }"));
  EXPECT_EQ(NpyF64({0, 4}, {}).size() % 64, 0u);
}

TEST_F(FilesTest, NumpyReadsTheArrays) {
  SweepResults results;
  OofMatrix& oof = results.oof.oof;
  oof.labels = {"a", "b"};
  oof.sample_ids = {"S1", "S2", "S3"};
  oof.instrument_types = {"commercial", "commercial", "sam_testbed"};
  oof.folds = {0, 1, 0};
  oof.truth = {1, 0, 0, 0, 1, 1};
  oof.models.push_back({.name = "gru",
                        .probabilities = {0.9, 0.1, 0.2, 0.3, 0.7, NAN},
                        .draws = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}});
  results.oof.ensemble = oof.models[0].probabilities;
  results.jobs.push_back(TwoAttempts());
  (*results.jobs[0].metrics.mutable_result())["log_loss"] = 0.125;
  const std::string weights_index = JoinPath(folder_, "index.json");
  ASSERT_TRUE(WriteFileAtomically(weights_index, "of the weights").ok());
  WrittenFiles written;
  ASSERT_TRUE(WriteNpy(results, folder_, written).ok());
  EXPECT_EQ(ReadFile(weights_index).value(), "of the weights");
  EXPECT_TRUE(CheckReplaceable(folder_, {kNpyIndexFile}).ok());
  if (std::system("python3 -c 'import numpy' 2>/dev/null") != 0) {
    GTEST_SKIP() << "python3-numpy is not installed";
  }
  const std::string script = JoinPath(folder_, "check.py");
  ASSERT_TRUE(WriteFileAtomically(script, R"py(
import json, sys
import numpy as np
load = lambda name: np.load(sys.argv[1] + "/" + name)
index = json.load(open(sys.argv[1] + "/npy.json"))
for name, array in index["arrays"].items():
    assert list(load(name).shape) == array["shape"], name
    assert len(array["axes"]) == load(name).ndim, name
p = load("oof_probabilities.npy")
assert p.dtype == "<f8" and p.shape == (1, 3, 2), p
assert p[0, 2, 0] == 0.7 and np.isnan(p[0, 2, 1])
assert load("oof_folds.npy").tolist() == [0, 1, 0]
assert load("oof_truth.npy").tolist() == [[1, 0], [0, 0], [1, 1]]
assert load("oof_draws/gru.npy")[1].tolist() == [[7, 8], [9, 10], [11, 12]]
m = load("metrics.npy")
assert m.shape == (1, 4, 2) and index["metrics"] == ["log_loss", "seconds"]
assert m[0, :, 0].tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
assert load("results.npy").tolist() == [[0.125]]
)py")
                  .ok());
  EXPECT_EQ(std::system(absl::StrCat("python3 ", script, " ", folder_).c_str()),
            0);
}

TEST_F(FilesTest, CsvHasDrawsAndResults) {
  SweepResults results;
  OofMatrix& oof = results.oof.oof;
  oof.labels = {"a", "b,c"};
  oof.sample_ids = {"S1"};
  oof.instrument_types = {"commercial"};
  oof.folds = {0};
  oof.truth = {1, 0};
  oof.models.push_back({.name = "gru",
                        .probabilities = {0.5, NAN},
                        .draws = {0.25, NAN, 0.75, NAN}});
  results.oof.ensemble = oof.models[0].probabilities;
  results.jobs.push_back(TwoAttempts());
  results.jobs[0].details.mutable_job()->set_state(v1::Job::FAILED);
  WrittenFiles written;
  ASSERT_TRUE(WriteCsv(results, folder_, written).ok());
  EXPECT_EQ(written.files, 4);
  const std::vector<std::string> files = ListDirectory(folder_).value();
  for (const std::string& file : files) {
    EXPECT_TRUE(CheckReplaceable(folder_, {file}).ok()) << file;
  }
  EXPECT_EQ(ReadFile(JoinPath(folder_, "oof_draws.csv")).value(),
            "sample_id,model,draw,a,\"b,c\"\nS1,gru,0,0.25,\nS1,gru,1,0.75,\n");
  EXPECT_EQ(ReadFile(JoinPath(folder_, "results.csv")).value(),
            "job,model,fold,state\ns1/gru/2,gru,2,failed\n");
  EXPECT_THAT(ReadFile(JoinPath(folder_, "oof.csv")).value(),
              HasSubstr("S1,0,commercial,1,0,0.500000,,0.500000,\n"));
  EXPECT_THAT(ReadFile(JoinPath(folder_, "metrics.csv")).value(),
              HasSubstr("s1/gru/2,gru,2,4,0.25,12\n"));
}

}  // namespace
}  // namespace foldfarm
