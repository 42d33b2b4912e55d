#include "coordinator/cli/format.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace foldfarm {
namespace {

bool IsContinuationByte(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// One unit, rounded down: "12s", "3m", "2h", "5d".
std::string OneUnit(int64_t seconds) {
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, "m");
  if (seconds < 86400) return absl::StrCat(seconds / 3600, "h");
  return absl::StrCat(seconds / 86400, "d");
}

}  // namespace

std::string HumanDuration(absl::Duration duration) {
  if (duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return "-";
  }
  const double exact = absl::ToDoubleSeconds(duration);
  if (exact < 0.995) return absl::StrFormat("%.2fs", exact);
  if (exact < 9.95) return absl::StrFormat("%.1fs", exact);
  const int64_t seconds = std::llround(exact);
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3600) {
    return absl::StrFormat("%dm %02ds", seconds / 60, seconds % 60);
  }
  const int64_t minutes = seconds / 60;
  if (minutes < 24 * 60) {
    return absl::StrFormat("%dh %02dm", minutes / 60, minutes % 60);
  }
  const int64_t hours = minutes / 60;
  return absl::StrFormat("%dd %02dh", hours / 24, hours % 24);
}

std::string RoughDuration(absl::Duration duration) {
  if (duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return "-";
  }
  // Rounded to a step of about a twentieth.
  static constexpr struct {
    int64_t below;
    int64_t step;
  } kSteps[] = {{10, 1},       {60, 5},        {600, 30},      {3600, 60},
                {36'000, 600}, {86'400, 3600}, {864'000, 7200}};
  const double exact = absl::ToDoubleSeconds(duration);
  int64_t seconds = std::llround(exact / 86'400) * 86'400;
  for (const auto& [below, step] : kSteps) {
    const int64_t rounded =
        std::llround(exact / static_cast<double>(step)) * step;
    if (rounded >= below) continue;
    seconds = rounded;
    break;
  }
  if (seconds < 60) return absl::StrCat(std::max<int64_t>(seconds, 1), "s");
  const int64_t minutes = seconds / 60;
  if (minutes < 60) {
    return seconds % 60 == 0
               ? absl::StrCat(minutes, "m")
               : absl::StrFormat("%dm %02ds", minutes, seconds % 60);
  }
  const int64_t hours = minutes / 60;
  if (hours < 24) {
    return minutes % 60 == 0
               ? absl::StrCat(hours, "h")
               : absl::StrFormat("%dh %02dm", hours, minutes % 60);
  }
  return hours % 24 == 0 ? absl::StrCat(hours / 24, "d")
                         : absl::StrFormat("%dd %02dh", hours / 24, hours % 24);
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would print as 1024.0.
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string FormatMetric(int64_t count) {
  if (count < 1000) return absl::StrCat(count);
  static constexpr const char* kUnits[] = {"k", "M", "G", "T", "P"};
  double value = static_cast<double>(count) / 1000;
  size_t unit = 0;
  // 999.5 would print as 1000.
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f %s", decimals, value, kUnits[unit]);
}

std::string FormatRelative(absl::Time time, absl::Time now) {
  if (time == absl::UnixEpoch()) return "-";
  const int64_t seconds = absl::ToInt64Seconds(now - time);
  if (seconds == 0) return "now";
  if (seconds > 0) return absl::StrCat(OneUnit(seconds), " ago");
  return absl::StrCat("in ", OneUnit(-seconds));
}

std::string FormatScore(double value) {
  if (std::isnan(value)) return "-";
  return absl::StrFormat("%.4f", value);
}

std::string FormatSigned(double value) {
  if (std::isnan(value)) return "-";
  return absl::StrFormat("%+.4f", value);
}

std::string FormatPercent(double share) {
  if (std::isnan(share)) return "-";
  return absl::StrFormat("%.1f %%", share * 100);
}

std::string FormatCount(int64_t count) {
  const std::string digits = absl::StrCat(count < 0 ? -count : count);
  std::string text = count < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string FormatPlural(int64_t count, absl::string_view singular) {
  return absl::StrCat(FormatCount(count), " ", singular, count == 1 ? "" : "s");
}

std::string ShortDigest(absl::string_view digest) {
  return std::string(digest.substr(0, 12));
}

std::string ShellWord(absl::string_view word) {
  constexpr char kPlain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
      "_-./=:,+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) {
    return std::string(word);
  }
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033' && i + 1 < text.size() && text[i + 1] == '[') {
      // ESC [ parameters, up to a letter.
      i += 2;
      while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
      continue;
    }
    if (!IsContinuationByte(text[i])) ++width;
  }
  return width;
}

std::string Truncate(absl::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return "";
  size_t columns = 0;
  size_t end = 0;
  while (end < text.size()) {
    size_t next = end + 1;
    while (next < text.size() && IsContinuationByte(text[next])) ++next;
    if (columns + 1 > width - 1) break;
    ++columns;
    end = next;
  }
  return absl::StrCat(text.substr(0, end), "…");
}

std::string WrapParts(const std::vector<std::string>& parts,
                      absl::string_view separator, size_t width) {
  std::string text;
  size_t used = 0;
  for (const std::string& part : parts) {
    const size_t needed = DisplayWidth(part);
    if (text.empty()) {
      used = needed;
    } else if (width == 0 || used + separator.size() + needed <= width) {
      absl::StrAppend(&text, separator);
      used += separator.size() + needed;
    } else {
      absl::StrAppend(&text, "\n");
      used = needed;
    }
    absl::StrAppend(&text, width == 0 ? part : Truncate(part, width));
  }
  return text;
}

std::string Sparkline(absl::Span<const double> values, size_t width) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄",
                                          "▅", "▆", "▇", "█"};
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const size_t count = std::min(width, values.size());
  std::vector<double> means;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values.size() / count;
    const size_t end = (i + 1) * values.size() / count;
    double sum = 0;
    int finite = 0;
    for (size_t k = begin; k < end; ++k) {
      if (!std::isfinite(values[k])) continue;
      sum += values[k];
      ++finite;
    }
    means.push_back(finite == 0 ? kNone : sum / finite);
  }
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (size_t i = 0; i < count; ++i) {
    if (std::isnan(means[i])) continue;
    low = std::min(low, means[i]);
    if (i >= count / 8) high = std::max(high, means[i]);
  }
  std::string text;
  for (const double mean : means) {
    if (std::isnan(mean)) {
      text += ' ';
      continue;
    }
    const double share = high > low ? (mean - low) / (high - low) : 0;
    // What lies on the edge of a bar belongs to the upper one.
    const double bar = std::floor(share * 8 + 1e-9);
    text += kBars[static_cast<size_t>(std::clamp(bar, 0.0, 7.0))];
  }
  return text;
}

}  // namespace foldfarm
