// Names for completion that only the coordinator knows. It is called as the
// command would call it that stands on the line: with its TLS and its token.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/rpc/client_access.h"
#include "coordinator/cli/completion.h"
#include "coordinator/cli/farm_access.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kNamesTimeout = absl::Milliseconds(400);

// Takes options as CLI::App does, where they are declared, from a line whose
// last word is not finished, else from the environment.
class UnfinishedLine {
 public:
  // `words` are borrowed.
  explicit UnfinishedLine(absl::Span<const std::string> words)
      : before_(words.first(words.empty() ? 0 : words.size() - 1)) {}

  UnfinishedLine* add_option(absl::string_view name, std::string& value,
                             absl::string_view /*description*/) {
    value_ = &value;
    is_given_ = false;
    for (size_t i = 0; i < before_.size(); ++i) {
      absl::string_view word = before_[i];
      if (word == name) {
        if (i + 1 < before_.size()) Take(WithoutTilde(before_[i + 1]));
      } else if (absl::ConsumePrefix(&word, name) &&
                 absl::ConsumePrefix(&word, "=")) {
        Take(std::string(word));
      }
    }
    return this;
  }
  UnfinishedLine* envname(const char* variable) {
    const char* value = std::getenv(variable);
    if (!is_given_ && value != nullptr && *value != '\0') *value_ = value;
    return this;
  }
  UnfinishedLine* type_name(absl::string_view) { return this; }
  void add_flag(absl::string_view name, bool& value,
                absl::string_view /*description*/) {
    value = std::find(before_.begin(), before_.end(), name) != before_.end();
  }

 private:
  void Take(std::string value) {
    *value_ = std::move(value);
    is_given_ = true;
  }

  // The shell has not put the home folder there yet.
  static std::string WithoutTilde(absl::string_view word) {
    const char* home = std::getenv("HOME");
    return home != nullptr && absl::ConsumePrefix(&word, "~/")
               ? absl::StrCat(home, "/", word)
               : std::string(word);
  }

  const absl::Span<const std::string> before_;
  std::string* value_ = nullptr;  // Of the newest option.
  bool is_given_ = false;         // On the line.
};

}  // namespace

NameSource CoordinatorNames(absl::Span<const std::string> words,
                            const std::string& fallback) {
  UnfinishedLine line(words);
  std::string address = fallback;
  line.add_option("--coordinator", address, "");
  ClientAccess access;
  AddAccessFlags(line, access);
  SetFarmAccess(address, access);
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
