// An artifact store in memory that breaks where a test says.
#ifndef FOLDFARM_TESTS_COMMON_RPC_FAKE_ARTIFACT_SERVICE_H_
#define FOLDFARM_TESTS_COMMON_RPC_FAKE_ARTIFACT_SERVICE_H_

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/digest.h"
#include "foldfarm/v1/artifact.grpc.pb.h"

namespace foldfarm {

class FakeArtifactService : public v1::ArtifactService::Service {
 public:
  // Faults; each of the lists is used up from the front, a stream an entry.
  struct Faults {
    // The stream breaks with UNAVAILABLE after so many bytes.
    std::vector<int64_t> break_upload_after;
    std::vector<int64_t> break_download_after;
    // Streams that end with this status instead of their own.
    std::vector<grpc::Status> fail_upload;
    // Streams of other bytes than those stored.
    int garble_downloads = 0;
    // StatArtifact lies about what is kept.
    std::vector<int64_t> claim_kept;
  };
  Faults faults;

  // What the client did.
  std::vector<int64_t> upload_offsets;
  std::vector<int64_t> download_offsets;
  int64_t bytes_received = 0;
  std::map<std::string, std::string> stored;

  grpc::Status StatArtifact(grpc::ServerContext*,
                            const v1::StatArtifactRequest* request,
                            v1::StatArtifactResponse* response) override {
    absl::MutexLock lock(&mu_);
    const auto whole = stored.find(request->digest());
    response->set_complete(whole != stored.end());
    response->set_size_bytes(static_cast<int64_t>(
        whole != stored.end() ? whole->second.size()
                              : parts_[request->digest()].size()));
    if (!response->complete() && !faults.claim_kept.empty()) {
      response->set_size_bytes(TakeFirst(faults.claim_kept));
    }
    return grpc::Status::OK;
  }

  grpc::Status UploadArtifact(
      grpc::ServerContext*,
      grpc::ServerReader<v1::UploadArtifactRequest>* reader,
      v1::UploadArtifactResponse* response) override {
    absl::MutexLock lock(&mu_);
    v1::UploadArtifactRequest request;
    reader->Read(&request);
    const v1::UploadArtifactRequest::Header header = request.header();
    upload_offsets.push_back(header.offset());
    std::string& part = parts_[header.digest()];
    if (header.offset() != static_cast<int64_t>(part.size())) {
      return {grpc::StatusCode::OUT_OF_RANGE,
              absl::StrCat("have ", part.size(), " bytes")};
    }
    if (!faults.fail_upload.empty()) {
      if (faults.fail_upload.front().error_code() ==
          grpc::StatusCode::DATA_LOSS) {
        part.clear();
      }
      return TakeFirst(faults.fail_upload);
    }
    int64_t room = faults.break_upload_after.empty()
                       ? int64_t{1} << 60
                       : TakeFirst(faults.break_upload_after);
    do {
      const std::string kept = request.data().substr(
          0, static_cast<size_t>(std::max<int64_t>(room, 0)));
      part += kept;
      bytes_received += static_cast<int64_t>(kept.size());
      room -= static_cast<int64_t>(request.data().size());
      if (room < 0) return {grpc::StatusCode::UNAVAILABLE, "broke off"};
    } while (reader->Read(&request));
    if (Sha256Hex(part) != header.digest()) {
      part.clear();
      return {grpc::StatusCode::DATA_LOSS, "wrong digest"};
    }
    response->set_size_bytes(static_cast<int64_t>(part.size()));
    stored[header.digest()] = std::move(part);
    parts_.erase(header.digest());
    return grpc::Status::OK;
  }

  grpc::Status DownloadArtifact(
      grpc::ServerContext*, const v1::DownloadArtifactRequest* request,
      grpc::ServerWriter<v1::DownloadArtifactResponse>* writer) override {
    absl::MutexLock lock(&mu_);
    download_offsets.push_back(request->offset());
    const auto found = stored.find(request->digest());
    if (found == stored.end()) {
      return {grpc::StatusCode::NOT_FOUND, "no such artifact"};
    }
    const bool garbled = faults.garble_downloads > 0;
    if (garbled) --faults.garble_downloads;
    const bool breaks = !faults.break_download_after.empty();
    const size_t end =
        breaks ? static_cast<size_t>(TakeFirst(faults.break_download_after))
               : found->second.size();
    constexpr size_t kChunk = 1000;
    for (size_t at = static_cast<size_t>(request->offset()); at < end;
         at += kChunk) {
      v1::DownloadArtifactResponse response;
      response.set_data(found->second.substr(at, std::min(kChunk, end - at)));
      if (garbled) response.mutable_data()->front() ^= 1;
      writer->Write(response);
    }
    return breaks ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "broke off")
                  : grpc::Status::OK;
  }

 private:
  template <typename T>
  static T TakeFirst(std::vector<T>& values) {
    const T first = values.front();
    values.erase(values.begin());
    return first;
  }

  absl::Mutex mu_;
  std::map<std::string, std::string> parts_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_RPC_FAKE_ARTIFACT_SERVICE_H_
