#include "common/spectra/features_csv.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/spectra/csv.h"

namespace foldfarm {
namespace {

enum Role { kTime, kTemperature, kMz, kAbundance, kNumRoles, kIgnored };
constexpr const char* kColumnNames[kNumRoles] = {"time", "temp", "m/z",
                                                 "abundance"};

// Small whole numbers as "12.0" or "12", which every m/z is; nullptr else.
// `end` is past the last byte of the text.
inline const char* ParseSmallInteger(const char* p, const char* end,
                                     double* value) {
  int number = 0;
  const char* start = p;
  while (p < end && p - start < 4 && *p >= '0' && *p <= '9') {
    number = number * 10 + (*p++ - '0');
  }
  if (p == start) return nullptr;
  if (end - p >= 2 && p[0] == '.' && p[1] == '0') p += 2;
  if (p < end && *p != ',' && *p != '\n' && *p != '\r') return nullptr;
  *value = number;
  return p;
}

// "-12.345" or "5.550957e-11": up to 15 digits and a power of ten that a double
// holds exactly, so that one multiplication or division rounds correctly
// (Clinger's fast path). nullptr for anything else, wrong or merely long.
inline const char* ParseShortDecimal(const char* p, const char* end,
                                     double* value) {
  static constexpr double kPowers[] = {
      1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const bool negative = p < end && *p == '-';
  if (negative) ++p;
  uint64_t digits = 0;  // Of more than 15 nothing is made: they may wrap.
  const auto take = [&] {
    digits = digits * 10 + static_cast<uint64_t>(*p++ - '0');
  };
  const char* start = p;
  while (p < end && *p >= '0' && *p <= '9') take();
  ptrdiff_t count = p - start;
  int exponent = 0;
  if (p < end && *p == '.') {
    const char* point = ++p;
    while (p < end && *p >= '0' && *p <= '9' && p - point < 16) take();
    exponent = -static_cast<int>(p - point);
    count += p - point;
  }
  if (count == 0 || count > 15) return nullptr;
  if (p < end && *p == 'e') {
    const bool falls = ++p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) ++p;
    start = p;
    int power = 0;
    while (p < end && *p >= '0' && *p <= '9' && p - start < 3) {
      power = power * 10 + (*p++ - '0');
    }
    if (p == start) return nullptr;
    exponent += falls ? -power : power;
  }
  if (exponent < -22 || exponent > 22) return nullptr;
  if (p < end && *p != ',' && *p != '\n' && *p != '\r') return nullptr;
  const double size = static_cast<double>(digits);
  const double number = negative ? -size : size;
  *value =
      exponent < 0 ? number / kPowers[-exponent] : number * kPowers[exponent];
  return p;
}

// A number as Python reads it: too small is 0, too large infinite.
const char* ParseNumber(const char* p, const char* end, double* value) {
  while (p < end && *p == ' ') ++p;
  if (const char* next = ParseShortDecimal(p, end, value)) return next;
  const auto [next, error] = std::from_chars(p, end, *value);
  if (error == std::errc::invalid_argument) return nullptr;
  if (error == std::errc::result_out_of_range) {
    *value = std::strtod(std::string(p, next).c_str(), nullptr);
  }
  p = next;
  while (p < end && *p == ' ') ++p;
  return p < end && *p != ',' && *p != '\n' && *p != '\r' ? nullptr : p;
}

class FeaturesParser {
 public:
  FeaturesParser(absl::string_view text, absl::string_view file)
      : text_(SkipByteOrderMark(text)), file_(file) {}

  absl::StatusOr<Readings> Parse() {
    FOLDFARM_RETURN_IF_ERROR(CheckIsText(text_, file_));
    FOLDFARM_RETURN_IF_ERROR(ParseHeader());
    // Rows of real files take 25 to 40 bytes.
    const size_t guess = text_.size() / 24 + 1;
    for (auto* column : {&readings_.time, &readings_.temperature, &readings_.mz,
                         &readings_.abundance}) {
      column->reserve(guess);
    }
    FOLDFARM_RETURN_IF_ERROR(ParseRows());
    if (readings_.time.empty()) {
      return BadLine(file_, line_, "no readings follow the header");
    }
    return std::move(readings_);
  }

 private:
  absl::Status ParseHeader() {
    const size_t end = std::min(text_.find('\n'), text_.size());
    absl::string_view header = text_.substr(0, end);
    const std::vector<std::string> columns =
        SplitCsvLine(absl::StripTrailingAsciiWhitespace(header));
    roles_.assign(columns.size(), kIgnored);
    for (int role = 0; role < kNumRoles; ++role) {
      FOLDFARM_ASSIGN_OR_RETURN(const size_t column,
                                FindColumn(columns, kColumnNames[role], file_));
      roles_[column] = static_cast<Role>(role);
    }
    position_ = text_.data() + std::min(end + 1, text_.size());
    end_ = text_.data() + text_.size();
    return absl::OkStatus();
  }

  absl::Status ParseRows() {
    // The first two fields, as text, repeat through a commercial scan.
    const bool usual =
        roles_ == std::vector<Role>{kTime, kTemperature, kMz, kAbundance};
    const char* prefix = nullptr;
    size_t prefix_size = 0;
    std::array<double, kNumRoles + 2> row{};
    while (position_ < end_) {
      ++line_;
      const char* p = position_;
      if (*p == '\n' || *p == '\r') {
        FOLDFARM_RETURN_IF_ERROR(EndLine(p));
        continue;
      }
      size_t column = 0;
      if (prefix_size > 0 && static_cast<size_t>(end_ - p) > prefix_size &&
          std::memcmp(p, prefix, prefix_size) == 0) {
        p += prefix_size;
        column = 2;
      }
      for (; column < roles_.size(); ++column) {
        const Role role = roles_[column];
        const char* next = role == kIgnored ? FieldEnd(p)
                           : role == kMz ? ParseSmallInteger(p, end_, &row[kMz])
                                         : nullptr;
        if (next == nullptr) {
          next = ParseNumber(p, end_, &row[role]);
          if (next == nullptr) return BadField(role, p);
          if (!std::isfinite(row[role])) return BadField(role, p);
        }
        p = next;
        if (column + 1 < roles_.size()) {
          if (p == end_ || *p != ',') return BadCount();
          ++p;
        }
        if (usual && column == 1) {
          prefix = position_;
          prefix_size = static_cast<size_t>(p - prefix);
        }
      }
      if (p < end_ && *p == ',') return BadCount();
      if (!readings_.time.empty() && row[kTime] < readings_.time.back()) {
        return BadLine(
            file_, line_,
            absl::StrCat("time falls from ", readings_.time.back(), " to ",
                         row[kTime], "; readings must come in order of time"));
      }
      readings_.time.push_back(row[kTime]);
      readings_.temperature.push_back(row[kTemperature]);
      readings_.mz.push_back(row[kMz]);
      readings_.abundance.push_back(row[kAbundance]);
      FOLDFARM_RETURN_IF_ERROR(EndLine(p));
    }
    return absl::OkStatus();
  }

  // Moves past the end of line at `p`.
  absl::Status EndLine(const char* p) {
    if (p < end_ && *p == '\r') ++p;
    if (p < end_ && *p != '\n') {
      return BadLine(file_, line_, "a carriage return inside the line");
    }
    position_ = p < end_ ? p + 1 : end_;
    return absl::OkStatus();
  }

  const char* FieldEnd(const char* p) const {
    while (p < end_ && *p != ',' && *p != '\n' && *p != '\r') ++p;
    return p;
  }

  absl::Status BadField(Role role, const char* p) const {
    absl::string_view field(p, static_cast<size_t>(FieldEnd(p) - p));
    return BadLine(
        file_, line_,
        absl::StrCat(kColumnNames[role], " is ", QuoteForMessage(field),
                     ", expected a finite number"));
  }

  absl::Status BadCount() const {
    const char* end = std::find(position_, end_, '\n');
    const absl::string_view line(position_,
                                 static_cast<size_t>(end - position_));
    return BadLine(
        file_, line_,
        absl::StrCat(1 + std::count(line.begin(), line.end(), ','),
                     " fields, expected ", roles_.size(), ": ",
                     QuoteForMessage(absl::StripAsciiWhitespace(line))));
  }

  const absl::string_view text_;
  const absl::string_view file_;
  std::vector<Role> roles_;  // Of each column.
  const char* position_ = nullptr;
  const char* end_ = nullptr;
  int64_t line_ = 1;
  Readings readings_;
};

}  // namespace

absl::StatusOr<Readings> ParseFeatures(absl::string_view text,
                                       absl::string_view file) {
  return FeaturesParser(text, file).Parse();
}

}  // namespace foldfarm
