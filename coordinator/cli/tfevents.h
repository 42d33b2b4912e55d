// Event files as TensorBoard reads them.
//
// A file is a row of records: the data's size (64 bits), its masked CRC-32C,
// the data, their masked CRC-32C, all little-endian. Each holds one message of
// event.proto, of which only what is needed here is written:
//   Event   1 wall_time double, 2 step int64, 3 file_version string,
//           5 summary Summary
//   Summary 1 repeated Value: 1 tag string, 2 simple_value float,
//           8 tensor TensorProto, 9 metadata SummaryMetadata
// Source: TensorFlow's tsl/lib/io/record_writer.h and event.proto,
// summary.proto (formats only).
//
// Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_TFEVENTS_H_
#define FOLDFARM_COORDINATOR_CLI_TFEVENTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace foldfarm {

class EventFile {
 public:
  // Begins with the format's version, as the reader wants it.
  explicit EventFile(absl::Time begin);

  // Numbers by tag, e.g. {"validation/log_loss", 0.31}, all of one step. The
  // format keeps them as 32-bit floats.
  void AddScalars(absl::Time time, int64_t step,
                  const std::vector<std::pair<std::string, double>>& values);

  // Markdown for TensorBoard's text page.
  void AddText(absl::Time time, int64_t step, absl::string_view tag,
               absl::string_view markdown);

  // The file so far.
  const std::string& bytes() const { return bytes_; }

 private:
  void AddEvent(absl::Time time, int64_t step, int field,
                absl::string_view content);

  std::string bytes_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_TFEVENTS_H_
