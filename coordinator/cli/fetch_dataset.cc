#include "coordinator/cli/fetch_dataset.h"

#include <utility>

#include "common/rpc/artifact_client.h"

namespace foldfarm {

absl::Status FetchDataset(
    FarmClient& client, Clock& clock, const v1::Dataset& dataset,
    const std::string& path, std::function<bool()> cancelled,
    std::function<void(int64_t done, int64_t total)> progress) {
  TransferOptions transfer;
  transfer.retry.give_up_after = absl::Seconds(30);
  transfer.clock = &clock;
  transfer.cancelled = std::move(cancelled);
  transfer.progress = std::move(progress);
  return client.Explain(DownloadFile(client.artifacts(), dataset.digest(),
                                     dataset.size_bytes(), path, transfer));
}

}  // namespace foldfarm
