#include "common/spectra/sample_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/features_csv.h"

namespace foldfarm {

absl::StatusOr<SampleFile> ReadSampleFile(const std::string& path,
                                          Instrument instrument,
                                          const std::string& md5,
                                          absl::string_view md5_source) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string its_md5 = md5.empty() ? "" : Md5Hex(text);
  const std::string damage =
      its_md5 == md5 ? ""
                     : absl::StrCat("its MD5 is ", its_md5, ", ", md5_source,
                                    " says ", md5, ": damaged or edited");
  // A line that is wrong says more than a digest that is.
  absl::StatusOr<Readings> readings = ParseFeatures(text, path);
  if (!readings.ok()) {
    return absl::Status(readings.status().code(),
                        absl::StrCat(readings.status().message(),
                                     damage.empty() ? "" : "; ", damage));
  }
  if (!damage.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", damage));
  }
  absl::StatusOr<PreparedSample> sample = PrepareSample(*readings, instrument);
  if (!sample.ok()) return Annotate(sample.status(), path);
  SampleFile file;
  for (const MzCurve& curve : sample->curves) {
    file.fallback_baselines += curve.fallback_baseline ? 1 : 0;
  }
  file.binned = sample->binned;
  file.tensors = ToTensors(*sample);
  file.summary = SummarizeReadings(*readings, *sample);
  return file;
}

}  // namespace foldfarm
