#include "coordinator/cli/transfer.h"

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/rpc/artifact_client.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/progress.h"

namespace foldfarm {

absl::StatusOr<v1::ArtifactRef> UploadWithProgress(const Console& console,
                                                   Clock& clock,
                                                   FarmClient& client,
                                                   const std::string& path,
                                                   const std::string& digest) {
  Progress progress(console, clock, absl::StrCat("Uploading ", BaseName(path)),
                    ProgressUnit::kBytes);
  TransferOptions transfer;
  transfer.retry.give_up_after = absl::Seconds(30);
  transfer.clock = &clock;
  transfer.cancelled = &InterruptScope::Interrupted;
  transfer.progress = [&](int64_t done, int64_t total) {
    progress.Update(done, total);
  };
  auto uploaded = UploadFile(client.artifacts(), path, digest, transfer);
  if (!uploaded.ok()) return client.Explain(uploaded.status());
  return uploaded;
}

}  // namespace foldfarm
