// Puts prepared samples together into the tensors of a prepared dataset; see
// prepared_dataset.h.
#ifndef FOLDFARM_COMMON_SPECTRA_ASSEMBLE_H_
#define FOLDFARM_COMMON_SPECTRA_ASSEMBLE_H_

#include <vector>

#include "common/spectra/sample_file.h"
#include "common/spectra/sample_table.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {

// The writer borrows from `prepared`, the samples of `table` in its order.
// REQUIRES: equally many; the labels of each row are as many as `table` names.
TensorFileWriter AssembleDataset(const SampleTable& table,
                                 const std::vector<SampleFile>& prepared);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_ASSEMBLE_H_
