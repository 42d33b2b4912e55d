#include "common/ensemble/csv.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/ensemble/scores.h"

namespace foldfarm {

std::string CsvCell(absl::string_view text) {
  if (text.find_first_of(",\"\r\n") == absl::string_view::npos) {
    return std::string(text);
  }
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string OofCsvHeader(absl::Span<const std::string> labels,
                         absl::Span<const std::string> models) {
  std::string line = "sample_id,fold,instrument_type";
  const auto add = [&](absl::string_view of) {
    for (const std::string& label : labels) {
      absl::StrAppend(&line, ",", CsvCell(absl::StrCat(of, ":", label)));
    }
  };
  add("truth");
  add("ensemble");
  for (const std::string& model : models) add(model);
  line += '\n';
  return line;
}

std::string OofCsvRow(absl::string_view sample_id, int fold,
                      absl::string_view instrument_type,
                      absl::Span<const double> truth,
                      absl::Span<const double> probability,
                      absl::Span<const double> model_probability) {
  std::string line = absl::StrCat(CsvCell(sample_id), ",", fold, ",",
                                  CsvCell(instrument_type));
  for (double value : truth) {
    if (value == 0.0 || value == 1.0) {
      absl::StrAppend(&line, ",", static_cast<int>(value));
    } else {
      absl::StrAppendFormat(&line, ",%.6f", value);
    }
  }
  for (const auto& values : {probability, model_probability}) {
    for (double value : values) {
      line += ',';
      if (!std::isnan(value)) absl::StrAppendFormat(&line, "%.6f", value);
    }
  }
  line += '\n';
  return line;
}

std::string SubmissionCsvHeader(absl::Span<const std::string> labels) {
  std::string line = "sample_id";
  for (const std::string& label : labels) {
    absl::StrAppend(&line, ",", CsvCell(label));
  }
  line += '\n';
  return line;
}

std::string SubmissionCsvRow(absl::string_view sample_id,
                             absl::string_view instrument_type,
                             absl::Span<const double> probability) {
  const double c = ShrinkConstant(instrument_type);
  std::string line = CsvCell(sample_id);
  for (double value : probability) {
    absl::StrAppendFormat(&line, ",%.6f", Shrink(value, c));
  }
  line += '\n';
  return line;
}

}  // namespace foldfarm
