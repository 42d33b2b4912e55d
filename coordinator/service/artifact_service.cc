#include "coordinator/service/artifact_service.h"

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

// Bytes of one message of a download.
constexpr size_t kPieceBytes = 512 << 10;

absl::Status Receive(ArtifactFiles& files,
                     grpc::ServerReader<v1::UploadArtifactRequest>& reader,
                     int64_t& size_bytes) {
  v1::UploadArtifactRequest piece;
  if (!reader.Read(&piece) || !piece.has_header()) {
    return absl::InvalidArgumentError(
        "an upload begins with a header, and there is none");
  }
  const v1::UploadArtifactRequest::Header header = piece.header();
  size_bytes = header.size_bytes();
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::unique_ptr<ArtifactFiles::Upload> upload,
      files.BeginUpload(header.digest(), header.size_bytes(), header.offset()));
  if (upload == nullptr) return absl::OkStatus();
  do {
    if (!piece.data().empty()) {
      FOLDFARM_RETURN_IF_ERROR(upload->Append(piece.data()));
    }
  } while (reader.Read(&piece));
  return upload->Finish();
}

absl::Status Send(ArtifactFiles& files,
                  const v1::DownloadArtifactRequest& request,
                  grpc::ServerWriter<v1::DownloadArtifactResponse>& writer) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files.Find(request.digest()));
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
  if (request.offset() < 0 || request.offset() > size) {
    return absl::OutOfRangeError(absl::StrCat("artifact ", request.digest(),
                                              ": offset is ", request.offset(),
                                              ", expected 0 to ", size));
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) return ErrnoStatus(path, "cannot open");
  if (fseeko(file.get(), request.offset(), SEEK_SET) != 0) {
    return ErrnoStatus(path, "cannot seek");
  }
  v1::DownloadArtifactResponse piece;
  while (true) {
    std::string& data = *piece.mutable_data();
    data.resize(kPieceBytes);
    data.resize(std::fread(data.data(), 1, data.size(), file.get()));
    if (data.empty()) break;
    if (!writer.Write(piece)) {
      return absl::CancelledError("the reader has gone");
    }
  }
  if (std::ferror(file.get()) != 0) return ErrnoStatus(path, "cannot read");
  return absl::OkStatus();
}

}  // namespace

grpc::Status ArtifactServiceImpl::StatArtifact(
    grpc::ServerContext*, const v1::StatArtifactRequest* request,
    v1::StatArtifactResponse* response) {
  const absl::StatusOr<ArtifactFiles::Stat> stat =
      files_.GetStat(request->digest());
  if (!stat.ok()) return ToGrpc(stat.status());
  // Whoever asks is about to name it.
  if (stat->complete) files_.Touch(request->digest());
  response->set_complete(stat->complete);
  response->set_size_bytes(stat->size_bytes);
  return grpc::Status::OK;
}

grpc::Status ArtifactServiceImpl::UploadArtifact(
    grpc::ServerContext*, grpc::ServerReader<v1::UploadArtifactRequest>* reader,
    v1::UploadArtifactResponse* response) {
  int64_t size_bytes = 0;
  const absl::Status status = Receive(files_, *reader, size_bytes);
  response->set_size_bytes(size_bytes);
  return ToGrpc(status);
}

grpc::Status ArtifactServiceImpl::DownloadArtifact(
    grpc::ServerContext*, const v1::DownloadArtifactRequest* request,
    grpc::ServerWriter<v1::DownloadArtifactResponse>* writer) {
  return ToGrpc(Send(files_, *request, *writer));
}

}  // namespace foldfarm
