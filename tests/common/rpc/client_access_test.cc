// What a client makes of its flags, and of a connection that fails.
#include "common/rpc/client_access.h"

#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/rpc/certificates.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "tests/testing/certs.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr char kOwnCertificate[] =
    "hung up; does it ask for a certificate of yours (--tls-cert, --tls-key)?";
constexpr char kOtherCa[] =
    "hung up; is your certificate (--tls-cert) of the CA that it asks for (its "
    "--tls-client-ca)?";

TEST(CheckEndpointTest, IsAHostAndAPort) {
  for (const char* endpoint :
       {"127.0.0.1:7077", "localhost:1", "head.lan:65535", "my_head-2:7077",
        "[::1]:7077", "[fe80::1%eth0]:7077"}) {
    EXPECT_TRUE(CheckEndpoint(endpoint).ok()) << endpoint;
  }
}

TEST(CheckEndpointTest, AnythingElseIsRefusedAndQuoted) {
  for (const char* endpoint :
       {"", "foo", ":17077", "foo:", "foo:http", "foo:0", "foo:65536", "foo:+1",
        "foo: 1", "foo:-1", "http://127.0.0.1:17078", "127.0.0.1:7077/",
        "::1:17077", "[]:1", "[head]:1", "[::1]", "a b:1",
        "foo:99999999999999999999"}) {
    const absl::Status status = CheckEndpoint(endpoint);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << endpoint;
    EXPECT_EQ(std::string(status.message()),
              absl::StrCat("got \"", endpoint,
                           "\", expected HOST:PORT, e.g. 127.0.0.1:7077"));
  }
}

TEST(TlsAdviceTest, AConnectionThatEndsWithoutAReasonAsksForOne) {
  FarmChannel plain;
  FarmChannel tls;
  tls.credentials = grpc::InsecureChannelCredentials();  // Any.
  FarmChannel own = tls;
  own.shows_certificate = true;
  for (const char* end :
       {"Socket closed", "recvmsg:Connection reset by peer", "Broken pipe"}) {
    const absl::Status status = absl::UnavailableError(end);
    EXPECT_THAT(TlsAdvice(status, plain), HasSubstr("--tls-ca FILE")) << end;
    EXPECT_EQ(TlsAdvice(status, tls), kOwnCertificate) << end;
    EXPECT_EQ(TlsAdvice(status, own), kOtherCa) << end;
  }
  const absl::Status refused = absl::UnavailableError("Connection refused");
  for (const FarmChannel& channel : {plain, tls, own}) {
    EXPECT_EQ(TlsAdvice(refused, channel), "");
  }
}

// A server that asks everybody for a certificate.
class ClientCertificateTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeTemporaryDirectory("client_access").value();
    farm_ = JoinPath(folder_, "farm");
    ASSERT_EQ(MakeCerts(farm_, "localhost,127.0.0.1"), 0);
    const auto tls = MakeServerTls({JoinPath(farm_, "localhost.crt"),
                                    JoinPath(farm_, "localhost.key"), Ca()},
                                   Clock::Real().Now());
    ASSERT_TRUE(tls.ok()) << tls.status();
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", *tls, &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
    EXPECT_TRUE(RemoveRecursively(folder_).ok());
  }

  std::string Ca() const { return JoinPath(farm_, "ca.crt"); }
  // Empty when the server answers.
  std::string AdviceFor(const ClientAccess& access) {
    const std::string endpoint = absl::StrCat("127.0.0.1:", port_);
    const auto channel = ToFarmChannel(access, endpoint);
    EXPECT_TRUE(channel.ok()) << channel.status();
    if (!channel.ok()) return "";
    const auto stub =
        v1::ArtifactService::NewStub(MakeChannel(endpoint, *channel));
    const absl::Status status =
        UnaryCall(*stub, &v1::ArtifactService::StubInterface::StatArtifact, {},
                  absl::Seconds(60))
            .status();
    if (absl::IsUnimplemented(status)) return "";  // The service's answer.
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    return TlsAdvice(status, *channel);
  }

  std::string folder_;
  std::string farm_;
  v1::ArtifactService::Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(ClientCertificateTest, WhoHasNoneIsToldOfIt) {
  EXPECT_EQ(AdviceFor({.tls_ca = Ca()}), kOwnCertificate);
}

TEST_F(ClientCertificateTest, OneOfAnotherCaIsDoubted) {
  const std::string other = JoinPath(folder_, "other");
  ASSERT_EQ(MakeCerts(farm_, "me"), 0);
  ASSERT_EQ(MakeCerts(other, "me"), 0);
  const auto access = [&](const std::string& from) {
    return ClientAccess{.tls_ca = Ca(),
                        .tls_cert = JoinPath(from, "me.crt"),
                        .tls_key = JoinPath(from, "me.key")};
  };
  EXPECT_EQ(AdviceFor(access(farm_)), "");
  EXPECT_EQ(AdviceFor(access(other)), kOtherCa);
}

}  // namespace
}  // namespace foldfarm
