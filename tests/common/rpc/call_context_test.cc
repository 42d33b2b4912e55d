#include "common/rpc/call_context.h"

#include <grpcpp/server.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "common/rpc/status.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "tests/testing/loopback_server.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

// Takes calls about "open" and leaves them open.
class OpenEndedService final : public v1::ArtifactService::Service {
 public:
  grpc::Status StatArtifact(grpc::ServerContext*,
                            const v1::StatArtifactRequest* request,
                            v1::StatArtifactResponse*) override {
    if (request->digest() == "open") {
      asked.Notify();
      released.WaitForNotification();
    }
    return grpc::Status::OK;
  }
  grpc::Status DownloadArtifact(
      grpc::ServerContext*, const v1::DownloadArtifactRequest*,
      grpc::ServerWriter<v1::DownloadArtifactResponse>*) override {
    asked.Notify();
    released.WaitForNotification();
    return grpc::Status::OK;
  }
  absl::Notification asked;
  absl::Notification released;
};

class CallContextTest : public testing::Test {
 protected:
  CallContextTest() {
    int port = 0;
    server_ = ServeOnLoopback({&service_}, port);
    stub_ = v1::ArtifactService::NewStub(
        MakeChannel(absl::StrCat("127.0.0.1:", port)));
  }
  ~CallContextTest() override {
    service_.released.Notify();
    AllowCalls();
  }

  absl::Status Stat(const std::string& digest) {
    v1::StatArtifactRequest request;
    request.set_digest(digest);
    return UnaryCall(*stub_, &v1::ArtifactService::StubInterface::StatArtifact,
                     request, kPatience)
        .status();
  }

  OpenEndedService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ArtifactService::StubInterface> stub_;
};

TEST_F(CallContextTest, AUnaryCallOnItsWayIsCancelled) {
  int under_way = 0;
  std::thread canceller([&] {
    service_.asked.WaitForNotification();
    under_way = CallsUnderWay();
    CancelCalls();
  });
  EXPECT_EQ(Stat("open").code(), absl::StatusCode::kCancelled);
  canceller.join();
  EXPECT_EQ(under_way, 1);
  EXPECT_EQ(CallsUnderWay(), 0);
}

TEST_F(CallContextTest, AStreamThatIsSilentIsCancelled) {
  std::thread canceller([&] {
    service_.asked.WaitForNotification();
    CancelCalls();
  });
  CallContext context(kPatience);
  const auto reader =
      stub_->DownloadArtifact(&context, v1::DownloadArtifactRequest());
  v1::DownloadArtifactResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(ToStatus(reader->Finish()).code(), absl::StatusCode::kCancelled);
  canceller.join();
}

TEST_F(CallContextTest, LaterCallsAreCancelledUntilTheyAreAllowed) {
  CancelCalls();
  EXPECT_EQ(Stat("").code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Stat("").code(), absl::StatusCode::kCancelled);
  AllowCalls();
  EXPECT_EQ(Stat(""), absl::OkStatus());
}

TEST_F(CallContextTest, ACancelledCallIsNotRepeated) {
  CancelCalls();
  int tries = 0;
  const absl::Status status = CallWithRetry({}, Clock::Real(), [&] {
    ++tries;
    return Stat("");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(tries, 1);
}

TEST_F(CallContextTest, ACallOfWhichOnlyItsOwnerDisposesGoesOn) {
  CancelCalls();
  CallContext context(kPatience, /*cancellable=*/false);
  EXPECT_EQ(CallsUnderWay(), 0);
  v1::StatArtifactResponse response;
  EXPECT_TRUE(
      stub_->StatArtifact(&context, v1::StatArtifactRequest(), &response).ok());
}

}  // namespace
}  // namespace foldfarm
