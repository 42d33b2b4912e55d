// The report's page, made of data by hand.
#include "coordinator/cli/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/ensemble/scores.h"
#include "coordinator/cli/ensemble_text.h"
#include "coordinator/cli/report_sections.h"
#include "coordinator/cli/results.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kScript[] = "<script>alert(1)</script>";

void AddEpochs(JobRecord& job, int epochs) {
  for (int i = 1; i <= epochs; ++i) {
    v1::EpochMetrics& epoch = *job.metrics.add_epochs();
    epoch.set_epoch(i);
    (*epoch.mutable_values())["log_loss"] = 0.5 / i;
    (*epoch.mutable_values())["train_loss"] = 0.4 / i;
  }
}

JobRecord Job(const std::string& model, int fold, v1::Job::State state) {
  JobRecord record;
  v1::Job& job = *record.details.mutable_job();
  job.set_name(absl::StrCat("s1/", model, "/", fold));
  job.set_model(model);
  job.set_fold(fold);
  job.set_state(state);
  job.set_epochs(4);
  if (state == v1::Job::SUCCEEDED) {
    job.set_epoch(4);
    v1::ArtifactRef& weights = *record.details.add_artifacts();
    weights.set_name("weights.safetensors");
    weights.set_digest(absl::StrCat("digest-of-", model, "-", fold));
    AddEpochs(record, 4);
  }
  return record;
}

// Two complete models of two folds and one that failed, with every optional
// figure.
ReportData Full() {
  ReportData data;
  data.sweep.set_id("s1");
  data.sweep.set_name("mars");
  data.sweep.set_state(v1::Sweep::FAILED);
  data.sweep.set_models(3);
  data.sweep.set_folds(2);
  data.sweep.set_succeeded(4);
  data.sweep.set_failed(2);
  data.dataset.set_name("data");
  data.dataset.set_digest("0123456789abcdef");
  for (const char* name : {"gru", "conv", "broken"}) {
    v1::ModelSpec& model = *data.sweep.mutable_spec()->add_models();
    model.set_name(name);
    model.mutable_train()->set_epochs(4);
  }
  v1::GetEnsembleResponse& reply = data.ensemble;
  int rank = 0;
  for (const char* name : {"gru", "conv"}) {
    v1::ModelScores& model = *reply.add_models();
    model.set_model(name);
    model.mutable_scores()->set_log_loss_shrink_0002(0.21 + 0.0123 * rank);
    model.mutable_scores()->set_accuracy(0.9321);
    model.set_correlation(0.9871);
    model.add_fold_log_loss(0.2111);
    model.add_fold_log_loss(0.2222);
    model.add_correlations(rank == 0 ? 1 : 0.9123);
    model.add_correlations(rank == 0 ? 0.9123 : 1);
    ++rank;
  }
  v1::Scores& ensemble = *reply.mutable_ensemble();
  ensemble.set_log_loss_shrink_0002(0.1954);
  ensemble.set_samples(3);
  ensemble.set_auc(0.9654);
  ensemble.mutable_log_loss_shrink_0002_interval()->set_low(0.1801);
  ensemble.mutable_log_loss_shrink_0002_interval()->set_high(0.2109);
  reply.mutable_prior()->set_log_loss_shrink_0002(0.4567);
  for (const auto& [name, loss] :
       {std::pair("gru", 0.21), std::pair("conv", 0.1954)}) {
    v1::GrowthStep& step = *reply.add_growth();
    step.set_model(name);
    step.set_log_loss(loss);
  }
  reply.add_labels("oxalate");
  reply.add_labels("sulfide");
  reply.add_label_log_loss(0.1777);
  reply.add_label_log_loss(0.1888);
  reply.add_incomplete_models("broken");
  v1::IncompleteModel& incomplete = *reply.add_incomplete();
  incomplete.set_model("broken");
  incomplete.set_reason("fold 0 failed: out of luck");
  OofMatrix& oof = data.oof.oof;
  oof.labels = {"oxalate", "sulfide"};
  oof.sample_ids = {"S1", "S2", "S3"};
  oof.instrument_types = {"commercial", "commercial", "sam_testbed"};
  oof.folds = {0, 1, 0};
  oof.truth = {1, 0, 0, 0, 1, 1};
  oof.models.push_back(
      {.name = "gru", .probabilities = {0.9, 0.1, 0.2, 0.3, 0.1, 0.7}});
  oof.models.push_back(
      {.name = "conv", .probabilities = {0.7, 0.1, 0.2, 0.3, 0.3, 0.7}});
  data.oof.ensemble = {0.8, 0.1, 0.2, 0.3, 0.2, 0.7};
  data.worst = WorstSamples(data.oof, 2);
  for (const char* model : {"gru", "conv"}) {
    for (int fold = 0; fold < 2; ++fold) {
      data.jobs.push_back(Job(model, fold, v1::Job::SUCCEEDED));
    }
  }
  for (int fold = 0; fold < 2; ++fold) {
    data.jobs.push_back(Job("broken", fold, v1::Job::FAILED));
    v1::GetJobResponse& job = data.jobs.back().details;
    job.mutable_job()->set_error("exit 70: out of luck");
    v1::Attempt& attempt = *job.add_attempts();
    attempt.set_number(3);
    attempt.set_state(v1::Attempt::FAILED);
    attempt.set_exit_status(70);
    attempt.add_log_tail("the last words");
  }
  data.version = "1.2.3";
  return data;
}

size_t Count(absl::string_view text, absl::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != text.npos;
       at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

TEST(ReportTest, HasEverySectionAndNeedsNothingFromElsewhere) {
  const std::string html = ReportHtml(Full());
  for (const char* id :
       {"summary", "scores", "growth", "correlation", "curves", "calibration",
        "samples", "failures", "configuration"}) {
    EXPECT_THAT(html, HasSubstr(absl::StrCat("<section id=\"", id, "\">")));
    EXPECT_THAT(html, HasSubstr(absl::StrCat("href=\"#", id, "\"")));
  }
  EXPECT_THAT(html, AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("@page"),
                          HasSubstr("prefers-color-scheme: dark"),
                          Not(HasSubstr("<script")), Not(HasSubstr("http://")),
                          Not(HasSubstr("https://")), Not(HasSubstr("<link")),
                          Not(HasSubstr("url(")), Not(HasSubstr("@import")),
                          Not(HasSubstr("<img"))));
}

TEST(ReportTest, EveryTagThatOpensCloses) {
  const std::string html = ReportHtml(Full());
  for (const char* tag :
       {"section", "div", "table", "thead", "tbody", "tr", "figure", "svg",
        "details", "article", "ul", "li", "dl", "p", "pre", "h2", "h3"}) {
    const size_t open = Count(html, absl::StrCat("<", tag, ">")) +
                        Count(html, absl::StrCat("<", tag, " "));
    EXPECT_EQ(open, Count(html, absl::StrCat("</", tag, ">"))) << tag;
  }
  EXPECT_EQ(Count(html, "<svg"), Count(html, "<desc>"));
  EXPECT_EQ(Count(html, "<table"), Count(html, "<caption>"));
}

TEST(ReportTest, FiguresReadAsOnTheTerminal) {
  ReportData data = Full();
  v1::LabelScores& oxalate = *data.ensemble.add_label_scores();
  oxalate.set_label("oxalate");
  oxalate.set_log_loss(0.1777);
  const std::string html = ReportHtml(data);
  const std::string terminal = FullEnsembleText(data.ensemble, 0, false);
  for (const char* figure : {"0.1954", "0.2223", "93.2 %", "0.9871", "0.4567",
                             "0.2111 0.2222", "-0.0146", "0.1777"}) {
    EXPECT_THAT(html, HasSubstr(figure));
    EXPECT_THAT(terminal, HasSubstr(figure));
  }
  EXPECT_THAT(html, HasSubstr("95 % between 0.1801 and 0.2109"));
}

TEST(ReportTest, NothingThatWasTypedIsMarkup) {
  ReportData data = Full();
  data.sweep.set_name(kScript);
  data.sweep.set_note(kScript);
  data.dataset.set_name(kScript);
  data.spectra_missing = kScript;
  data.version = kScript;
  data.ensemble.mutable_models(0)->set_model(kScript);
  data.ensemble.mutable_growth(0)->set_model(kScript);
  data.ensemble.set_labels(0, kScript);
  data.ensemble.set_incomplete_models(0, kScript);
  data.oof.oof.labels[0] = kScript;
  data.oof.oof.sample_ids[2] = kScript;
  data.oof.oof.instrument_types[2] = kScript;
  data.sweep.mutable_spec()->mutable_models(0)->set_name(kScript);
  for (JobRecord& job : data.jobs) {
    job.details.mutable_job()->set_name(kScript);
    job.details.mutable_job()->set_model(kScript);
    job.details.mutable_job()->set_error(kScript);
    job.details.mutable_job()->set_worker(kScript);
    for (v1::Attempt& attempt : *job.details.mutable_attempts()) {
      attempt.set_log_tail(0, kScript);
      attempt.set_error(kScript);
      attempt.set_device(kScript);
      job.attempts.push_back(attempt);
    }
    for (v1::ArtifactRef& ref : *job.details.mutable_artifacts()) {
      ref.set_name(kScript);
      ref.set_digest(kScript);
    }
  }
  v1::Worker& worker = data.workers.emplace_back();
  worker.set_host(kScript);
  const std::string html = ReportHtml(data);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_GT(Count(html, "&lt;script&gt;"), 30u);
}

TEST(ReportTest, SaysWhatWasLeftOutAndWhatFailed) {
  const ReportData data = Full();
  EXPECT_THAT(LeftOut(data),
              ElementsAre("model broken is not complete on all folds: fold 0 "
                          "failed: out of luck"));
  const std::string html = ReportHtml(data);
  EXPECT_THAT(html, HasSubstr("Left out:"));
  EXPECT_THAT(FailuresSection(data),
              AllOf(HasSubstr("s1/broken/1"), HasSubstr("exit 70"),
                    HasSubstr("the last words")));
  EXPECT_THAT(html, Not(HasSubstr("reliminary")));
}

TEST(ReportTest, ARunningSweepIsMarkedAsPreliminary) {
  ReportData data = Full();
  data.sweep.set_state(v1::Sweep::RUNNING);
  data.sweep.set_running(1);
  data.sweep.set_pending(2);
  EXPECT_THAT(ReportHtml(data),
              HasSubstr("Preliminary: 3 jobs of this sweep are not over yet."));
}

TEST(ReportTest, WithoutACompleteModelThereAreStillCurvesAndFailures) {
  ReportData data = Full();
  data.ensemble.clear_models();
  data.ensemble.clear_growth();
  data.ensemble.clear_ensemble();
  data.oof.oof.models.clear();
  data.oof.ensemble.clear();
  data.worst = WorstSamples(data.oof, 12);
  EXPECT_THAT(data.worst, IsEmpty());
  const std::string html = ReportHtml(data);
  EXPECT_THAT(html, AllOf(HasSubstr("there are no scores"),
                          HasSubstr("<section id=\"curves\">"),
                          HasSubstr("<section id=\"failures\">"),
                          Not(HasSubstr("<section id=\"scores\">")),
                          Not(HasSubstr("<section id=\"calibration\">"))));
  EXPECT_THAT(ReportHtml({}), HasSubstr("</html>"));
}

TEST(ReportTest, WhatTheFarmDidNotComputeIsNotShown) {
  ReportData data = Full();
  for (v1::ModelScores& model : *data.ensemble.mutable_models()) {
    model.clear_correlations();
  }
  data.ensemble.mutable_ensemble()->clear_auc();
  data.ensemble.mutable_ensemble()->clear_log_loss_shrink_0002_interval();
  const std::string html = ReportHtml(data);
  EXPECT_THAT(html,
              AllOf(Not(HasSubstr("<section id=\"correlation\">")),
                    Not(HasSubstr(">AUC<")), Not(HasSubstr("bootstrap"))));
}

TEST(ReportTest, LongTrainingsMakeNoLongFile) {
  ReportData data = Full();
  for (JobRecord& job : data.jobs) {
    job.metrics.Clear();
    AddEpochs(job, 1120);
  }
  const std::string curves = CurvesSection(data);
  EXPECT_LT(curves.size(), 80'000u);
  EXPECT_THAT(curves, HasSubstr("1120 of 4"));
}

TEST(WorstSamplesTest, AreTheLargestLogLossesWhoseMeanIsTheEnsembles) {
  const ReportData data = Full();
  const std::vector<WorstSample> all = WorstSamples(data.oof, 100);
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].row, 2u);
  EXPECT_GT(all[0].log_loss, all[1].log_loss);
  const double mean = (all[0].log_loss + all[1].log_loss + all[2].log_loss) / 3;
  EXPECT_NEAR(mean, ShrunkLogLoss(data.oof.oof.truth, data.oof.ensemble),
              1e-12);
  EXPECT_THAT(WorstSamples(data.oof, 1), SizeIs(1));
}

TEST(WorstSamplesTest, TruthPredictionsAndTheSpreadOfModelsAreShown) {
  ReportData data = Full();
  SampleSpectrum spectrum;
  spectrum.sample_id = "S3";
  spectrum.celsius = {6, 18, 30};
  spectrum.strongest.push_back(
      {.mz = 18, .height = {NAN, 1, 0.2}, .peak_celsius = 18, .peak = 1});
  spectrum.named.push_back({.mz = 44, .peak_celsius = 30, .peak = 0.25});
  data.spectra.push_back(spectrum);
  const std::string html = SamplesSection(data);
  EXPECT_THAT(html, HasSubstr("1. S3"));
  EXPECT_THAT(html, HasSubstr("0.2000 ✗</td><td class=\"n\">0.1000 to 0.3000"));
  EXPECT_THAT(html, HasSubstr("m/z 18 H2O 1 at 18 °C"));
  EXPECT_THAT(html, HasSubstr("Not drawn: m/z 44 CO2 0.25 at 30 °C"));
}

TEST(SpectrumTest, IonsAreSortedByTheirRiseAboveTheirOffset) {
  // m/z 18 rises by 0.4 in the second scan, m/z 44 by 0.1; helium by more than
  // both; m/z 50 has no readings.
  nlohmann::json table = {{{"id", "S1"},
                           {"split", "train"},
                           {"instrument_type", "commercial"},
                           {"labelled", true}}};
  std::vector<float> scans(200, 0.1f), offsets(400, 0.1f);
  scans[100 + 18] = 0.5f;
  scans[100 + 44] = 0.2f;
  scans[100 + 4] = 1.0f;
  for (int i = 0; i < 4; ++i) offsets[50 * 4 + i] = NAN;
  scans[50] = scans[150] = NAN;
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("labels", R"(["a"])");
  writer.SetMetadata("samples", JsonText(table));
  writer.AddI64("scan_offset", {2}, std::vector<int64_t>{0, 2});
  writer.AddF64("temperature", {2}, std::vector<double>{30, 100});
  writer.AddF32("abundance", {2, 100}, scans);
  writer.AddF32("baseline", {2, 100}, scans);
  writer.AddF32("offsets", {1, 100, 4}, offsets);
  writer.AddF32("offsets_baseline", {1, 100, 4}, offsets);
  writer.AddU8("labels", {1, 1}, std::vector<uint8_t>{1});
  const auto dataset = PreparedDataset::FromFile(
      TensorFile::Parse(writer.Serialize(), "made").value(), "made");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const SampleSpectrum spectrum = SpectrumOf(**dataset, 0);
  ASSERT_THAT(spectrum.strongest, SizeIs(2));
  EXPECT_EQ(spectrum.strongest[0].mz, 18);
  EXPECT_DOUBLE_EQ(spectrum.strongest[0].peak, 1);
  EXPECT_DOUBLE_EQ(spectrum.strongest[0].peak_celsius, 102);
  EXPECT_EQ(spectrum.strongest[1].mz, 44);
  EXPECT_NEAR(spectrum.strongest[1].peak, 0.25, 1e-6);
  EXPECT_TRUE(std::isnan(spectrum.strongest[1].height[0]));
}

TEST(ReportTest, JobsThatWereRetriedWithOtherOptionsSaySo) {
  ReportData data = Full();
  for (JobRecord& job : data.jobs) {
    job.details.mutable_model()->set_name(job.details.job().model());
    job.details.mutable_model()->mutable_train()->set_epochs(4);
  }
  EXPECT_THAT(ReportHtml(data), Not(HasSubstr("retried with other options")));
  data.jobs[1].details.mutable_model()->mutable_train()->set_epochs(9);
  EXPECT_THAT(ReportHtml(data),
              AllOf(HasSubstr("retried with other options"),
                    HasSubstr("<td class=\"code\">train.epochs</td>"
                              "<td class=\"code\">9</td>"
                              "<td class=\"code\">4</td>")));
}

}  // namespace
}  // namespace foldfarm
