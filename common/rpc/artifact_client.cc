#include "common/rpc/artifact_client.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_context.h"
#include "common/rpc/channel.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kStatTimeout = absl::Seconds(20);
// A stream that is still open then breaks off and goes on in a new one.
constexpr absl::Duration kStreamTimeout = absl::Minutes(10);
constexpr int kMaxDamaged = 3;

bool Cancelled(const TransferOptions& options) {
  return options.cancelled && options.cancelled();
}

// Repeats `call` as CallWithRetry does, but counts `give_up_after` and the
// backoff from the last time `position` moved.
absl::Status RepeatWhileMoving(const TransferOptions& options,
                               const int64_t& position,
                               absl::FunctionRef<absl::Status()> call) {
  while (true) {
    const int64_t before = position;
    bool moved = false;
    const absl::Status status = CallWithRetry(
        options.retry, *options.clock,
        [&] {
          absl::Status tried = call();
          moved = position > before && IsRetryable(tried, true);
          // Any code that is not repeated ends this round.
          return moved ? absl::AbortedError("moved") : tried;
        },
        [&] { return Cancelled(options); });
    if (!moved) return status;
  }
}

// Fills `chunk` with up to its size from an offset; returns the bytes read.
using Source = absl::FunctionRef<absl::StatusOr<size_t>(int64_t offset,
                                                        std::string& chunk)>;

// Sends what follows `offset` in one stream.
absl::Status UploadOnce(v1::ArtifactService::StubInterface& stub,
                        const v1::ArtifactRef& artifact, Source source,
                        int64_t offset, const TransferOptions& options) {
  CallContext context(kStreamTimeout);
  v1::UploadArtifactResponse response;
  const auto writer = stub.UploadArtifact(&context, &response);
  v1::UploadArtifactRequest request;
  request.mutable_header()->set_digest(artifact.digest());
  request.mutable_header()->set_size_bytes(artifact.size_bytes());
  request.mutable_header()->set_offset(offset);
  absl::Status local = absl::OkStatus();
  bool first = true;
  while (first || offset < artifact.size_bytes()) {
    first = false;
    std::string& chunk = *request.mutable_data();
    chunk.resize(static_cast<size_t>(std::min<int64_t>(
        options.chunk_bytes, artifact.size_bytes() - offset)));
    const absl::StatusOr<size_t> got = source(offset, chunk);
    if (!got.ok()) {
      local = got.status();
    } else if (*got != chunk.size()) {
      local = absl::FailedPreconditionError(absl::StrCat(
          "the file ended at byte ", offset + static_cast<int64_t>(*got),
          ", expected ", artifact.size_bytes(), "; it changed meanwhile"));
    } else if (Cancelled(options)) {
      local = absl::CancelledError("stopped");
    }
    if (!local.ok()) {
      context.TryCancel();
      break;
    }
    if (!writer->Write(request)) break;  // Finish says why.
    offset += static_cast<int64_t>(chunk.size());
    if (options.progress) options.progress(offset, artifact.size_bytes());
    request.clear_header();
  }
  if (local.ok()) writer->WritesDone();
  const absl::Status status = ToStatus(writer->Finish());
  return local.ok() ? status : local;
}

absl::Status Upload(v1::ArtifactService::StubInterface& stub,
                    const v1::ArtifactRef& artifact, Source source,
                    const TransferOptions& options) {
  int64_t kept = 0;
  int damaged = 0;
  int misplaced = 0;
  const absl::Status status = RepeatWhileMoving(options, kept, [&] {
    v1::StatArtifactRequest request;
    request.set_digest(artifact.digest());
    const absl::StatusOr<v1::StatArtifactResponse> stat =
        UnaryCall(stub, &v1::ArtifactService::StubInterface::StatArtifact,
                  request, kStatTimeout);
    if (!stat.ok()) return stat.status();
    if (stat->complete()) {
      if (options.progress) {
        options.progress(artifact.size_bytes(), artifact.size_bytes());
      }
      return absl::OkStatus();
    }
    // More than there is cannot be a part of this file.
    kept = stat->size_bytes() <= artifact.size_bytes() ? stat->size_bytes() : 0;
    absl::Status sent = UploadOnce(stub, artifact, source, kept, options);
    const bool again = (absl::IsDataLoss(sent) && ++damaged < kMaxDamaged) ||
                       (absl::IsOutOfRange(sent) && ++misplaced < kMaxDamaged);
    if (!again) return sent;
    absl::Status repeat = absl::UnavailableError(sent.message());
    MarkAnswer(repeat);
    return repeat;
  });
  return Annotate(status, absl::StrCat("upload of ", artifact.name(), " (",
                                       artifact.size_bytes(), " bytes, sha256 ",
                                       artifact.digest().substr(0, 12), ")"));
}

// One stream of what follows the end of `part`.
absl::Status DownloadOnce(v1::ArtifactService::StubInterface& stub,
                          const std::string& digest, int64_t size_bytes,
                          AppendFile& part, Hasher& hasher, int64_t& position,
                          const TransferOptions& options) {
  CallContext context(kStreamTimeout);
  v1::DownloadArtifactRequest request;
  request.set_digest(digest);
  request.set_offset(part.size());
  const auto reader = stub.DownloadArtifact(&context, request);
  v1::DownloadArtifactResponse response;
  absl::Status local = absl::OkStatus();
  while (local.ok() && reader->Read(&response)) {
    if (part.size() + static_cast<int64_t>(response.data().size()) >
        size_bytes) {
      local = absl::DataLossError(
          absl::StrCat("got more than the ", size_bytes, " bytes expected"));
    } else if (Cancelled(options)) {
      local = absl::CancelledError("stopped");
    } else {
      local = part.Append(response.data());
    }
    if (!local.ok()) break;
    hasher.Update(response.data());
    position = part.size();
    if (options.progress) options.progress(position, size_bytes);
  }
  if (!local.ok()) context.TryCancel();
  const absl::Status remote = ToStatus(reader->Finish());
  if (!local.ok()) return local;
  FOLDFARM_RETURN_IF_ERROR(remote);
  if (part.size() == size_bytes) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("got ", part.size(), " bytes, expected ", size_bytes));
}

// The digest of what is already in `part`, to go on with.
absl::StatusOr<Hasher> HashSoFar(const std::string& part) {
  Hasher hasher = Hasher::Sha256();
  std::ifstream file(part, std::ios::binary);
  std::string buffer(1 << 20, '\0');
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())),
         file.gcount() > 0) {
    hasher.Update(
        absl::string_view(buffer.data(), static_cast<size_t>(file.gcount())));
  }
  if (!file.eof()) return ErrnoStatus(part, "cannot read");
  return hasher;
}

}  // namespace

absl::StatusOr<v1::ArtifactRef> UploadFile(
    v1::ArtifactService::StubInterface& stub, const std::string& path,
    const std::string& digest, const TransferOptions& options) {
  v1::ArtifactRef artifact;
  artifact.set_name(BaseName(path));
  artifact.set_digest(digest);
  if (digest.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(*artifact.mutable_digest(),
                              Sha256HexOfFile(path));
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  const absl::StatusOr<int64_t> size = FileSize(path);
  if (!size.ok()) {
    close(fd);
    return size.status();
  }
  artifact.set_size_bytes(*size);
  const absl::Status status = Upload(
      stub, artifact,
      [&](int64_t offset, std::string& chunk) -> absl::StatusOr<size_t> {
        size_t used = 0;
        while (used < chunk.size()) {
          const ssize_t n =
              pread(fd, chunk.data() + used, chunk.size() - used,
                    static_cast<off_t>(offset + static_cast<int64_t>(used)));
          if (n < 0 && errno == EINTR) continue;
          if (n < 0) return ErrnoStatus(path, "cannot read");
          if (n == 0) break;
          used += static_cast<size_t>(n);
        }
        return used;
      },
      options);
  close(fd);
  if (!status.ok()) return status;
  return artifact;
}

absl::StatusOr<v1::ArtifactRef> UploadBytes(
    v1::ArtifactService::StubInterface& stub, absl::string_view data,
    const std::string& name, const TransferOptions& options) {
  v1::ArtifactRef artifact;
  artifact.set_name(name);
  artifact.set_digest(Sha256Hex(data));
  artifact.set_size_bytes(static_cast<int64_t>(data.size()));
  FOLDFARM_RETURN_IF_ERROR(Upload(
      stub, artifact,
      [data](int64_t offset, std::string& chunk) -> absl::StatusOr<size_t> {
        return data.copy(chunk.data(), chunk.size(),
                         static_cast<size_t>(offset));
      },
      options));
  return artifact;
}

absl::Status DownloadFile(v1::ArtifactService::StubInterface& stub,
                          const std::string& digest, int64_t size_bytes,
                          const std::string& path,
                          const TransferOptions& options) {
  if (!IsSha256Hex(digest) || size_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("download to ", path, ": the artifact is \"",
                     absl::CHexEscape(digest.substr(0, 100)), "\" of ",
                     size_bytes, " bytes, expected a SHA-256 and at least 0"));
  }
  const std::string part_path = absl::StrCat(path, ".part");
  const auto fetch = [&]() -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> part,
                              AppendFile::Open(part_path));
    if (part->size() > size_bytes) FOLDFARM_RETURN_IF_ERROR(part->Truncate(0));
    FOLDFARM_ASSIGN_OR_RETURN(Hasher hasher, HashSoFar(part_path));
    int64_t position = part->size();
    if (position < size_bytes || size_bytes == 0) {
      FOLDFARM_RETURN_IF_ERROR(RepeatWhileMoving(options, position, [&] {
        return DownloadOnce(stub, digest, size_bytes, *part, hasher, position,
                            options);
      }));
    }
    const std::string got = hasher.FinishHex();
    if (got != digest) {
      return absl::DataLossError(absl::StrCat("got bytes with SHA-256 ", got));
    }
    return PublishFile(part_path, path);
  };
  absl::Status status = absl::OkStatus();
  for (int damaged = 0; damaged < 2; ++damaged) {
    status = fetch();
    if (!absl::IsDataLoss(status)) break;
    FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(part_path));
  }
  return Annotate(status,
                  absl::StrCat("download of artifact ", digest, " to ", path));
}

}  // namespace foldfarm
