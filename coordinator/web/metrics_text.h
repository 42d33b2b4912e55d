// Everything that Prometheus may know, in its text format 0.0.4.
#ifndef FOLDFARM_COORDINATOR_WEB_METRICS_TEXT_H_
#define FOLDFARM_COORDINATOR_WEB_METRICS_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "common/base/histogram.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/service/rpc_metrics.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"

namespace foldfarm {

// Writes families of metrics one after another.
class MetricsText {
 public:
  using Labels = std::vector<std::pair<absl::string_view, absl::string_view>>;

  // Begins a family. `type`: counter, gauge or histogram.
  void Family(absl::string_view name, absl::string_view type,
              absl::string_view help);
  // A sample of the family begun last.
  void Sample(double value, const Labels& labels = {});
  void Sample(const Histogram& histogram, const Labels& labels = {});

  const std::string& text() const { return text_; }

 private:
  void Line(absl::string_view suffix, const Labels& labels,
            absl::string_view le, double value);

  std::string name_;
  std::string text_;
};

// What is measured. All are borrowed.
struct MetricsSources {
  Store& store;
  ArtifactFiles& files;
  JobQueue& queue;
  const RpcMetrics& rpcs;
  Clock& clock;
};

// Errors: those of the database.
absl::StatusOr<std::string> RenderMetrics(const MetricsSources& sources,
                                          int open_streams);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_METRICS_TEXT_H_
