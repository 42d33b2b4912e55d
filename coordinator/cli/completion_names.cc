// Names for completion that only the coordinator knows.
#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "coordinator/cli/completion.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kNamesTimeout = absl::Milliseconds(400);

}  // namespace

NameSource CoordinatorNames(absl::Span<const std::string> words,
                            const std::string& fallback) {
  std::string address = fallback;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    absl::string_view word = words[i];
    if (word == "--coordinator" && i + 2 < words.size()) {
      address = words[i + 1];
    } else if (absl::ConsumePrefix(&word, "--coordinator=")) {
      address = std::string(word);
    }
  }
  const auto client = std::make_shared<FarmClient>(address);
  return [client](NameKind kind, const std::string& of) {
    using Farm = v1::FarmService::StubInterface;
    std::vector<Candidate> names;
    switch (kind) {
      case NameKind::kSweep: {
        const auto reply = client->Call(&Farm::ListSweeps, {}, kNamesTimeout);
        if (!reply.ok()) break;
        std::map<std::string, int> count;
        for (const v1::Sweep& sweep : reply->sweeps()) ++count[sweep.name()];
        for (const v1::Sweep& sweep : reply->sweeps()) {
          names.push_back({sweep.id(), absl::StrCat(sweep.name(), ", ",
                                                    StateName(sweep.state()))});
        }
        for (const v1::Sweep& sweep : reply->sweeps()) {
          if (count[sweep.name()] > 1) continue;  // Names nothing.
          names.push_back(
              {sweep.name(),
               absl::StrCat(sweep.id(), ", ", StateName(sweep.state()))});
        }
        break;
      }
      case NameKind::kJob: {
        v1::ListJobsRequest request;
        request.set_sweep(of);
        const auto reply =
            client->Call(&Farm::ListJobs, request, kNamesTimeout);
        if (!reply.ok()) break;
        for (const v1::Job& job : reply->jobs()) {
          names.push_back({job.name(), StateName(job.state())});
        }
        // A model's folds need not follow each other.
        std::stable_sort(names.begin(), names.end(),
                         [](const Candidate& a, const Candidate& b) {
                           return a.word < b.word;
                         });
        break;
      }
      case NameKind::kDataset: {
        const auto reply = client->Call(&Farm::ListDatasets, {}, kNamesTimeout);
        if (!reply.ok()) break;
        for (const v1::Dataset& dataset : reply->datasets()) {
          names.push_back({dataset.name(), ""});
        }
        break;
      }
      case NameKind::kWeights: {
        const auto reply = client->Call(&Farm::ListWeights, {}, kNamesTimeout);
        if (!reply.ok()) break;
        for (const v1::Weights& weights : reply->weights()) {
          names.push_back({weights.name(), ""});
        }
        break;
      }
      case NameKind::kWorker: {
        const auto reply = client->Call(&Farm::ListWorkers, {}, kNamesTimeout);
        if (!reply.ok()) break;
        for (const v1::Worker& worker : reply->workers()) {
          names.push_back({worker.name(), StateName(worker.state())});
        }
        break;
      }
    }
    return names;
  };
}

}  // namespace foldfarm
