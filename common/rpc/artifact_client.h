// Sends files to the artifact store and fetches them, across broken
// connections.
//
// 1. An upload asks StatArtifact first: what is stored whole is not sent again,
//    what broke off goes on where it stopped.
// 2. A download grows PATH.part and goes on at its end, also after this process
//    was restarted. PATH appears once the SHA-256 is right (fsync, rename).
// 3. A transfer that moved bytes before it broke starts its backoff anew: only
//    standing still counts towards `give_up_after`.
//
// Thread-safe, but no two downloads to one path at a time.
#ifndef FOLDFARM_COMMON_RPC_ARTIFACT_CLIENT_H_
#define FOLDFARM_COMMON_RPC_ARTIFACT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/rpc/retry.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

struct TransferOptions {
  RetryPolicy retry{.give_up_after = absl::Minutes(2)};
  Clock* clock = &Clock::Real();  // Borrowed.
  // Asked between chunks and while waiting; true ends with CANCELLED.
  std::function<bool()> cancelled;
  // Called after every chunk, with bytes that the other side has and all bytes.
  std::function<void(int64_t done, int64_t total)> progress;
  // Bytes a message.
  int64_t chunk_bytes = 512 << 10;
};

// Stores a file. `digest` is its SHA-256 when the caller knows it, else empty
// (the file is read once more). The reference returned is named like the file.
//
// Errors: those of reading the file; UNAVAILABLE after `give_up_after`;
// DATA_LOSS when what arrived does not match the digest three times in a row
// (the file changes, or `digest` is wrong); others of UploadArtifact.
absl::StatusOr<v1::ArtifactRef> UploadFile(
    v1::ArtifactService::StubInterface& stub, const std::string& path,
    const std::string& digest = "", const TransferOptions& options = {});

// Stores `data`; the reference returned is named `name`.
absl::StatusOr<v1::ArtifactRef> UploadBytes(
    v1::ArtifactService::StubInterface& stub, absl::string_view data,
    const std::string& name, const TransferOptions& options = {});

// Fetches an artifact of `size_bytes` into `path`, replacing a file there.
//
// Errors: INVALID_ARGUMENT when `digest` is no SHA-256 or the size is negative;
// FAILED_PRECONDITION when PATH.part is a symbolic link; NOT_FOUND when the
// store has no such artifact; DATA_LOSS when size or digest are wrong twice in
// a row; UNAVAILABLE after `give_up_after`; those of writing the file.
// PATH.part stays behind for the next try unless its bytes were wrong or could
// not be flushed.
absl::Status DownloadFile(v1::ArtifactService::StubInterface& stub,
                          const std::string& digest, int64_t size_bytes,
                          const std::string& path,
                          const TransferOptions& options = {});

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_ARTIFACT_CLIENT_H_
