// What `foldfarm-trainer draw` drew, laid out for people.
//
// Pure function; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_RENDER_SHEET_H_
#define FOLDFARM_COORDINATOR_CLI_RENDER_SHEET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/cli/contact_sheet.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// A section a sample; a row each for the plain draws (the image without chance
// in front of them), for every change that the model makes, alone, and for what
// training draws. What the model does not do is said, not shown.
//
// `images` is images.safetensors (worker/trainer/draw.h). Errors: those of
// reading it; NOT_FOUND for a sample that `dataset` lacks.
absl::StatusOr<ContactSheet> SheetOfImages(
    const TensorFile& images, const PreparedDataset& dataset,
    const v1::ModelSpec& model, const std::vector<std::string>& samples);

// "resnet", "vit1d", ...: the architecture's name in the sweep file; "" for
// none.
std::string ArchName(const v1::ModelSpec& model);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_RENDER_SHEET_H_
