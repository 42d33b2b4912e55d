#include "coordinator/cli/prediction_text.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/table.h"

namespace foldfarm {

std::string DescribePrediction(const v1::Sweep& sweep) {
  const v1::PredictionSpec& prediction = sweep.spec().prediction();
  return absl::StrCat("predicts ", sweep.prediction(), ": ",
                      FormatPlural(sweep.models(), "model"), " x ",
                      FormatPlural(prediction.folds(), "fold"), " x ",
                      FormatPlural(prediction.shares(), "share"));
}

std::string PredictionTable(const v1::ListJobsResponse& jobs, size_t width,
                            bool colour) {
  using Align = Column::Align;
  std::vector<std::string> models;
  std::map<std::string, std::map<v1::Job::State, int>> counts;
  for (const v1::Job& job : jobs.jobs()) {
    if (counts.count(job.model()) == 0) models.push_back(job.model());
    ++counts[job.model()][job.state()];
  }
  Table table({{"MODEL", Align::kLeft, true},
               {"DONE", Align::kRight},
               {"RUNNING", Align::kRight},
               {"FAILED", Align::kRight}});
  for (const std::string& model : models) {
    std::map<v1::Job::State, int>& count = counts[model];
    int all = 0;
    for (const auto& [state, jobs_in_state] : count) all += jobs_in_state;
    const int done = count[v1::Job::SUCCEEDED];
    const int failed = count[v1::Job::FAILED];
    table.AddRow(
        {model,
         Cell(absl::StrCat(done, "/", all),
              done == all ? Style::kGood : Style::kPlain),
         absl::StrCat(count[v1::Job::RUNNING]),
         Cell(absl::StrCat(failed), failed > 0 ? Style::kBad : Style::kPlain)});
  }
  return table.Render(width, colour);
}

}  // namespace foldfarm
