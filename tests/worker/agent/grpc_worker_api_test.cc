// The coordinator over a real connection, as a worker whose token is replaced
// finds it.
#include "worker/agent/grpc_worker_api.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_access.h"
#include "common/rpc/status.h"
#include "tests/testing/certs.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// Answers everything with one status.
class OneStatus final : public v1::WorkerService::Service,
                        public v1::ArtifactService::Service {
 public:
  void Set(absl::Status status) {
    absl::MutexLock lock(&mu_);
    status_ = std::move(status);
  }

  grpc::Status Register(grpc::ServerContext*, const v1::RegisterRequest*,
                        v1::RegisterResponse*) override {
    return Get();
  }
  // Refused when it is opened; answered with the status of the moment later.
  grpc::Status Work(grpc::ServerContext*,
                    grpc::ServerReaderWriter<v1::WorkResponse, v1::WorkRequest>*
                        stream) override {
    if (!Get().ok()) return Get();
    v1::WorkRequest request;
    while (stream->Read(&request)) {
      v1::WorkResponse response;
      response.set_id(request.id());
      response.set_error_code(Get().error_code());
      response.set_error_message(Get().error_message());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
  grpc::Status StatArtifact(grpc::ServerContext*,
                            const v1::StatArtifactRequest*,
                            v1::StatArtifactResponse*) override {
    return Get();
  }
  grpc::Status DownloadArtifact(
      grpc::ServerContext*, const v1::DownloadArtifactRequest*,
      grpc::ServerWriter<v1::DownloadArtifactResponse>*) override {
    return Get();
  }

 private:
  grpc::Status Get() {
    absl::MutexLock lock(&mu_);
    return ToGrpc(status_);
  }
  absl::Mutex mu_;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

class GrpcWorkerApiTest : public ::testing::Test {
 protected:
  GrpcWorkerApiTest()
      : directory_(*MakeTemporaryDirectory("api")),
        logger_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log_);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("t", sink));
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(
        static_cast<v1::WorkerService::Service*>(&service_));
    builder.RegisterService(
        static_cast<v1::ArtifactService::Service*>(&service_));
    server_ = builder.BuildAndStart();
    endpoint_ = absl::StrCat("127.0.0.1:", port);
    api_ = std::make_unique<GrpcWorkerApi>(MakeChannel(endpoint_), endpoint_,
                                           Clock::Real());
  }
  ~GrpcWorkerApiTest() override {
    api_.reset();
    server_->Shutdown();
    spdlog::set_default_logger(logger_);
    EXPECT_TRUE(RemoveRecursively(directory_).ok());
  }

  absl::StatusCode RegisterCode() { return api_->Register({}).status().code(); }

  // Codes of all calls but Register, in the order of the interface.
  std::vector<absl::StatusCode> OtherCodes() {
    const std::string path = JoinPath(directory_, "file");
    EXPECT_TRUE(WriteFileAtomically(path, "abc").ok());
    v1::ArtifactRef artifact;
    artifact.set_digest(Sha256Hex("abc"));
    artifact.set_size_bytes(3);
    const WorkerApi::Cancelled never = [] { return false; };
    return {
        api_->AcquireLeases({}).status().code(),
        api_->Heartbeat({}).status().code(),
        api_->ReportProgress({}).status().code(),
        api_->FinishAttempt({}).status().code(),
        api_->Upload(path, never).status().code(),
        api_->Download(artifact, JoinPath(directory_, "fetched"), never).code(),
        api_->AwaitNews({}).code()};
  }

  int CountInLog(const std::string& text) const {
    int count = 0;
    for (const auto line : absl::StrSplit(log_.str(), '\n')) {
      count += line.find(text) != absl::string_view::npos;
    }
    return count;
  }

  const std::string directory_;
  std::ostringstream log_;
  const std::shared_ptr<spdlog::logger> logger_;
  OneStatus service_;
  std::unique_ptr<grpc::Server> server_;
  std::string endpoint_;
  std::unique_ptr<GrpcWorkerApi> api_;
};

TEST_F(GrpcWorkerApiTest, ARefusalBeforeTheFirstRegistrationIsToldAsItIs) {
  service_.Set(absl::UnauthenticatedError("no such token"));
  EXPECT_EQ(RegisterCode(), absl::StatusCode::kUnauthenticated);
  service_.Set(absl::PermissionDeniedError("the token is for gpu2"));
  EXPECT_EQ(RegisterCode(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CountInLog("refuses this worker"), 0) << log_.str();
}

TEST_F(GrpcWorkerApiTest, ARefusalOfAWorkerThatWasLetInIsAnOutage) {
  ASSERT_EQ(RegisterCode(), absl::StatusCode::kOk);
  for (const absl::Status& refusal :
       {absl::UnauthenticatedError("no such token"),
        absl::PermissionDeniedError("the token is for gpu2")}) {
    service_.Set(refusal);
    EXPECT_EQ(RegisterCode(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(OtherCodes(), ::testing::Each(absl::StatusCode::kUnavailable));
  }
  // One line, whatever was asked; and one when it is over.
  EXPECT_EQ(CountInLog("refuses this worker"), 1) << log_.str();
  EXPECT_THAT(log_.str(), HasSubstr("no such token"));
  EXPECT_EQ(CountInLog("cannot be reached"), 0) << log_.str();
  service_.Set(absl::OkStatus());
  EXPECT_EQ(RegisterCode(), absl::StatusCode::kOk);
  EXPECT_EQ(CountInLog("is back after"), 1) << log_.str();
}

TEST_F(GrpcWorkerApiTest, AFolderThatMayNotBeWrittenIsNoRefusal) {
  ASSERT_EQ(RegisterCode(), absl::StatusCode::kOk);
  // Nobody may make files here, root neither.
  v1::ArtifactRef artifact;
  artifact.set_digest(Sha256Hex("abc"));
  artifact.set_size_bytes(3);
  const absl::Status status =
      api_->Download(artifact, "/proc/1/fetched", [] { return false; });
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(CountInLog("refuses this worker"), 0) << log_.str();
}

// Certificates that a test of TLS needs.
class WrongTlsTest : public GrpcWorkerApiTest {
 protected:
  void SetUp() override { ASSERT_EQ(MakeCerts(certs_, "localhost"), 0); }
  std::string File(const std::string& name) const {
    return JoinPath(certs_, name);
  }
  const std::string certs_ = JoinPath(directory_, "certs");
};

TEST_F(WrongTlsTest, ACoordinatorWithoutItIsExplained) {
  ClientAccess access;
  access.tls_ca = File("ca.crt");
  const auto channel = ToFarmChannel(access, endpoint_);
  ASSERT_TRUE(channel.ok()) << channel.status();
  GrpcWorkerApi api(MakeChannel(endpoint_, *channel), endpoint_, Clock::Real(),
                    *channel);
  const absl::Status status = api.Register({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("leave out --tls-ca"));
  EXPECT_EQ(CountInLog("leave out --tls-ca"), 1) << log_.str();
}

TEST_F(WrongTlsTest, ACoordinatorWithItIsExplained) {
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back(
      {ReadFile(File("localhost.key")).value(),
       ReadFile(File("localhost.crt")).value()});
  OneStatus service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options),
                           &port);
  builder.RegisterService(static_cast<v1::WorkerService::Service*>(&service));
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const std::string endpoint = absl::StrCat("127.0.0.1:", port);
  GrpcWorkerApi api(MakeChannel(endpoint), endpoint, Clock::Real());
  const absl::Status status = api.Register({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--tls-ca FILE"));
  EXPECT_EQ(CountInLog("--tls-ca FILE"), 1) << log_.str();
}

}  // namespace
}  // namespace foldfarm
