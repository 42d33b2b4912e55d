// Values as people read them: durations, sizes, times, scores.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_FORMAT_H_
#define FOLDFARM_COORDINATOR_CLI_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "google/protobuf/timestamp.pb.h"

namespace foldfarm {

// Two units at most: "0.42s", "7.5s", "42s", "3m 12s", "2h 05m", "3d 04h".
// Negative and infinite durations are "-".
std::string HumanDuration(absl::Duration duration);

// Two digits that count, for guesses: "25s", "12m", "1h 20m", "14h", "2d 06h".
// Negative and infinite durations are "-".
std::string RoughDuration(absl::Duration duration);

// Powers of 1024: "512 B", "1.5 KiB", "38.7 MiB".
std::string FormatBytes(int64_t bytes);

// Powers of 1000 with three digits or more: "950", "23.4 M", "1.80 G", "104 G".
std::string FormatMetric(int64_t count);

// "12s ago", "in 3m", "now"; one unit. "-" for an unset time (the epoch).
std::string FormatRelative(absl::Time time, absl::Time now);

// Four decimals, the precision at which log losses are compared; "-" for NaN.
std::string FormatScore(double value);

// The same with its sign: "+0.0012", "-0.0340".
std::string FormatSigned(double value);

// "97.3 %" for 0.973; "-" for NaN.
std::string FormatPercent(double share);

// "1,234,567".
std::string FormatCount(int64_t count);

// "1 job", "2 jobs".
std::string FormatPlural(int64_t count, absl::string_view singular);

// The first twelve digits of a digest.
std::string ShortDigest(absl::string_view digest);

// For command lines to copy: in single quotes where a shell would not take it
// as one word.
std::string ShellWord(absl::string_view word);

// An unset timestamp is the epoch.
absl::Time ToTime(const google::protobuf::Timestamp& timestamp);

// Columns that `text` takes on a terminal: code points, without escape
// sequences.
size_t DisplayWidth(absl::string_view text);

// At most `width` columns of `text`; what was cut off shows as "…". `text` has
// no escape sequences.
std::string Truncate(absl::string_view text, size_t width);

// `parts` joined by `separator`, in as few lines of at most `width` columns as
// hold them (0: one); the separator goes where a line ends, and a part that is
// wider is cut.
std::string WrapParts(const std::vector<std::string>& parts,
                      absl::string_view separator, size_t width);

// "▆▃▂▁▂": values in their order as bars, at most `width` of them; of more
// values, neighbours are averaged. The lowest value is the lowest bar and the
// highest one after the first eighth the highest: a steep beginning, which
// losses have, is cut off so that what follows shows. NaN is a blank.
std::string Sparkline(absl::Span<const double> values, size_t width);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_FORMAT_H_
