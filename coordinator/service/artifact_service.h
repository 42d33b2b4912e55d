// Files over gRPC, in pieces. A call holds a thread while it lasts.
#ifndef FOLDFARM_COORDINATOR_SERVICE_ARTIFACT_SERVICE_H_
#define FOLDFARM_COORDINATOR_SERVICE_ARTIFACT_SERVICE_H_

#include "coordinator/store/artifact_files.h"
#include "foldfarm/v1/artifact.grpc.pb.h"

namespace foldfarm {

class ArtifactServiceImpl final : public v1::ArtifactService::Service {
 public:
  // `files` is borrowed.
  explicit ArtifactServiceImpl(ArtifactFiles& files) : files_(files) {}

  grpc::Status StatArtifact(grpc::ServerContext* context,
                            const v1::StatArtifactRequest* request,
                            v1::StatArtifactResponse* response) override;
  grpc::Status UploadArtifact(
      grpc::ServerContext* context,
      grpc::ServerReader<v1::UploadArtifactRequest>* reader,
      v1::UploadArtifactResponse* response) override;
  grpc::Status DownloadArtifact(
      grpc::ServerContext* context, const v1::DownloadArtifactRequest* request,
      grpc::ServerWriter<v1::DownloadArtifactResponse>* writer) override;

 private:
  ArtifactFiles& files_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_ARTIFACT_SERVICE_H_
