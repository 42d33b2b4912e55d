// A coordinator that asks for tokens, over a real gRPC connection.
#ifndef FOLDFARM_TESTS_COORDINATOR_SERVICE_ACCESS_FIXTURE_H_
#define FOLDFARM_TESTS_COORDINATOR_SERVICE_ACCESS_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/rpc/client_access.h"
#include "common/rpc/tokens.h"
#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {

inline constexpr char kReader[] = "reader-0123456789";
inline constexpr char kPerson[] = "person-0123456789";
inline constexpr char kGpu1[] = "gpu1-0123456789abc";
inline constexpr char kGpu2[] = "gpu2-0123456789abc";

class AccessTest : public ServiceTest {
 protected:
  AccessTest() {
    server_.reset();
    path_ = JoinPath(directory_, "tokens");
    EXPECT_TRUE(
        WriteFileAtomically(
            path_, absl::StrCat("read-only board ", kReader, "\nclient anna ",
                                kPerson, "\nworker gpu1 ", kGpu1,
                                "\nworker gpu2 ", kGpu2, "\n"))
            .ok());
    EXPECT_EQ(chmod(path_.c_str(), 0600), 0);
    tokens_ = *TokenStore::Open(path_, Clock::Real());
    options_.tokens = tokens_.get();
    Start();
    As(kPerson);
  }
  ~AccessTest() override { server_.reset(); }

  // Calls from here on carry this token; empty: none.
  void As(const std::string& token) {
    const auto channel = Channel({.token = token});
    farm_ = v1::FarmService::NewStub(channel);
    workers_ = v1::WorkerService::NewStub(channel);
    artifacts_ = v1::ArtifactService::NewStub(channel);
  }

  std::shared_ptr<grpc::Channel> Channel(const ClientAccess& access) {
    const auto options = ToFarmChannel(access, server_->endpoint());
    EXPECT_TRUE(options.ok()) << options.status();
    return MakeChannel(server_->endpoint(), *options);
  }

  absl::Status Look() {
    return Ask(&Farm::ListSweeps, v1::ListSweepsRequest()).status();
  }
  absl::Status Cancel() {
    v1::CancelRequest request;
    request.set_target("s1");
    return Ask(&Farm::Cancel, request).status();
  }
  absl::StatusOr<int64_t> TryRegister(const std::string& name) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(1);
    const auto response = Work(&Workers::Register, request);
    if (!response.ok()) return response.status();
    return response->session();
  }

  std::string path_;
  std::unique_ptr<TokenStore> tokens_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_SERVICE_ACCESS_FIXTURE_H_
