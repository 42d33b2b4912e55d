// The part of FarmServiceImpl that looks after the coordinator's own files:
// backups and garbage.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/store/garbage.h"

namespace foldfarm {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

absl::Status SendBackup(const std::string& path,
                        grpc::ServerWriter<v1::BackupResponse>& writer) {
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) return ErrnoStatus(path, "cannot open");
  Hasher hasher = Hasher::Sha256();
  v1::BackupResponse piece;
  piece.set_size_bytes(size);
  while (true) {
    std::string& data = *piece.mutable_data();
    data.resize(kPieceBytes);
    data.resize(std::fread(data.data(), 1, data.size(), file.get()));
    if (std::ferror(file.get()) != 0) return ErrnoStatus(path, "cannot read");
    hasher.Update(data);
    const bool last = data.size() < kPieceBytes;
    if (last) piece.set_digest(hasher.FinishHex());
    if (!writer.Write(piece)) {
      return absl::CancelledError("the reader has gone");
    }
    if (last) return absl::OkStatus();
    piece.clear_size_bytes();
  }
}

}  // namespace

grpc::Status FarmServiceImpl::Backup(
    grpc::ServerContext*, const v1::BackupRequest*,
    grpc::ServerWriter<v1::BackupResponse>* writer) {
  const std::string path =
      absl::StrCat(store_.path(), ".backup-", NewRandomId());
  const absl::Cleanup remove = [&path] { unlink(path.c_str()); };
  if (const absl::Status status = store_.Copy(path); !status.ok()) {
    return ToGrpc(status);
  }
  const absl::Status status = SendBackup(path, *writer);
  SPDLOG_INFO("backup bytes={} {}", FileSize(path).value_or(0),
              status.ok() ? "sent" : status.ToString());
  return ToGrpc(status);
}

grpc::Status FarmServiceImpl::CollectGarbage(
    grpc::ServerContext*, const v1::CollectGarbageRequest* request,
    v1::CollectGarbageResponse* response) {
  GarbageOptions options;
  options.dry_run = request->dry_run();
  if (!(request->min_age_seconds() >= 0)) {
    return ToGrpc(absl::InvalidArgumentError(
        absl::StrCat("min_age_seconds is ", request->min_age_seconds(),
                     ", expected 0 (an hour) or more")));
  }
  if (request->min_age_seconds() > 0) {
    options.min_age = absl::Seconds(request->min_age_seconds());
  }
  const absl::StatusOr<GarbageReport> report =
      foldfarm::CollectGarbage(store_, files_, clock_.Now(), options);
  if (!report.ok()) return ToGrpc(report.status());
  response->set_files(report->files);
  response->set_size_bytes(report->size_bytes);
  response->set_kept_files(report->kept_files);
  response->set_kept_size_bytes(report->kept_size_bytes);
  return grpc::Status::OK;
}

}  // namespace foldfarm
