#include "common/rpc/channel.h"

#include <grpcpp/server.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "tests/testing/loopback_server.h"

namespace foldfarm {
namespace {

TEST(StatusTest, EveryCodeCarriesOverBothWays) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code),
                              code == 0 ? "" : "m");
    const grpc::Status sent = ToGrpc(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), code);
    EXPECT_EQ(ToStatus(sent).code(), status.code());
    EXPECT_EQ(ToStatus(sent).message(), status.message());
    // What a peer says is told from what gRPC says of a peer that is gone.
    EXPECT_EQ(IsAnswer(ToStatus(sent)), absl::IsUnavailable(status));
  }
}

TEST(StatusTest, AnAnswerStaysOneWhateverItsMessage) {
  const absl::Status answer =
      ToStatus(ToGrpc(absl::UnavailableError("the disk is full")));
  EXPECT_TRUE(IsAnswer(Annotate(answer, "upload")));
  EXPECT_FALSE(
      IsAnswer(Annotate(absl::UnavailableError("Socket closed"), "upload")));
}

// Answers once it is told to.
class SlowService : public v1::ArtifactService::Service {
 public:
  grpc::Status StatArtifact(grpc::ServerContext*,
                            const v1::StatArtifactRequest* request,
                            v1::StatArtifactResponse* response) override {
    if (request->digest() == "slow") released.WaitForNotification();
    response->set_size_bytes(static_cast<int64_t>(request->digest().size()));
    return grpc::Status::OK;
  }
  absl::Notification released;
};

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() {
    int port = 0;
    server_ = ServeOnLoopback({&service_}, port);
    stub_ = v1::ArtifactService::NewStub(
        MakeChannel(absl::StrCat("127.0.0.1:", port)));
  }

  absl::StatusOr<v1::StatArtifactResponse> Stat(const std::string& digest,
                                                absl::Duration timeout) {
    v1::StatArtifactRequest request;
    request.set_digest(digest);
    return UnaryCall(*stub_, &v1::ArtifactService::StubInterface::StatArtifact,
                     request, timeout);
  }

  SlowService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ArtifactService::StubInterface> stub_;
};

TEST_F(ChannelTest, ACallEndsAtItsTimeout) {
  const auto late = Stat("slow", absl::Milliseconds(50));
  service_.released.Notify();
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ChannelTest, ACallWithoutTimeoutIsAnswered) {
  const auto response = Stat("abc", absl::InfiniteDuration());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->size_bytes(), 3);
}

TEST_F(ChannelTest, MessagesUpTo16MiBPass) {
  EXPECT_TRUE(Stat(std::string(15 << 20, 'x'), absl::Seconds(60)).ok());
  EXPECT_EQ(Stat(std::string(17 << 20, 'x'), absl::Seconds(60)).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(ChannelWithoutServerTest, ACallIsUnavailable) {
  const auto stub = v1::ArtifactService::NewStub(MakeChannel("127.0.0.1:1"));
  EXPECT_EQ(UnaryCall(*stub, &v1::ArtifactService::StubInterface::StatArtifact,
                      {}, absl::Seconds(60))
                .status()
                .code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace foldfarm
