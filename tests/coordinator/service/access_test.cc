// Who may call what, over real sockets.
#include "coordinator/service/access.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/certificates.h"
#include "common/rpc/client_access.h"
#include "tests/coordinator/service/access_fixture.h"
#include "tests/testing/certs.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> AllMethods() {
  std::vector<std::string> methods;
  for (const auto* file : {v1::ListJobsRequest::descriptor()->file(),
                           v1::RegisterRequest::descriptor()->file(),
                           v1::StatArtifactRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      for (int k = 0; k < file->service(i)->method_count(); ++k) {
        methods.push_back(absl::StrCat("/", file->service(i)->full_name(), "/",
                                       file->service(i)->method(k)->name()));
      }
    }
  }
  return methods;
}

TEST_F(AccessTest, EveryMethodHasARuleAndNoneIsOpen) {
  const std::vector<std::string> methods = AllMethods();
  ASSERT_GT(methods.size(), 30u);
  for (const std::string& method : methods) {
    const auto rule = RuleOf(method);
    ASSERT_TRUE(rule.has_value()) << method << " is not in access.cc's table";
    EXPECT_FALSE(rule->open) << method;
    const bool of_workers = absl::StrContains(method, "WorkerService");
    const bool of_files = absl::StrContains(method, "ArtifactService");
    EXPECT_EQ(rule->worker, of_workers || of_files) << method;
    EXPECT_EQ(rule->client, !of_workers) << method;
    EXPECT_TRUE(rule->client || !rule->read_only) << method;
  }
  EXPECT_FALSE(RuleOf("/foldfarm.v1.FarmService/NoSuchCall").has_value());
}

TEST_F(AccessTest, EveryMethodRefusesWhoHasNoRightToIt) {
  const auto code = [&](const std::string& method, absl::string_view token) {
    return CheckCall(*tokens_, method, absl::StrCat("Bearer ", token)).code();
  };
  for (const std::string& method : AllMethods()) {
    const MethodRule rule = *RuleOf(method);
    const auto expected = [](bool may) {
      return may ? absl::StatusCode::kOk : absl::StatusCode::kPermissionDenied;
    };
    EXPECT_EQ(code(method, kReader), expected(rule.read_only)) << method;
    EXPECT_EQ(code(method, kPerson), expected(rule.client)) << method;
    EXPECT_EQ(code(method, kGpu1), expected(rule.worker)) << method;
    EXPECT_EQ(code(method, "nobody-0123456789"),
              absl::StatusCode::kUnauthenticated)
        << method;
    EXPECT_EQ(CheckCall(*tokens_, method, "").code(),
              absl::StatusCode::kUnauthenticated)
        << method;
  }
}

TEST_F(AccessTest, RolesHoldOverTheWire) {
  EXPECT_TRUE(Look().ok());
  EXPECT_EQ(Cancel().code(), absl::StatusCode::kNotFound);  // There is no s1.
  As(kReader);
  EXPECT_TRUE(Look().ok()) << Look();
  EXPECT_EQ(Cancel().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(Cancel().message()),
              HasSubstr("\"board\" has the role read-only, which may not call "
                        "Cancel; a token of the role client may"));
  As("nobody-0123456789");
  EXPECT_EQ(Look().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(Look().message()), HasSubstr("does not know"));
  As("");
  EXPECT_EQ(Look().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(Look().message()), HasSubstr("--token-file"));
  EXPECT_EQ(TryRegister("gpu1").status().code(),
            absl::StatusCode::kUnauthenticated);
  const auto upload = UploadBytes(*artifacts_, "abc", "a");
  EXPECT_TRUE(absl::IsUnauthenticated(upload.status())) << upload.status();
}

TEST_F(AccessTest, ATokenThatIsReplacedIsRefusedAndTheNewOneTaken) {
  constexpr char kNew[] = "renewed-0123456789";
  ASSERT_TRUE(Look().ok()) << Look();
  // What is half written changes nothing.
  ASSERT_TRUE(WriteFileAtomically(path_, "client anna").ok());
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  EXPECT_TRUE(Look().ok()) << Look();
  ASSERT_TRUE(
      WriteFileAtomically(path_, absl::StrCat("client anna ", kNew, "\n"))
          .ok());
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  EXPECT_TRUE(Until(
      [&] { return Look().code() == absl::StatusCode::kUnauthenticated; }));
  As(kNew);
  EXPECT_TRUE(Look().ok()) << Look();
}

TEST_F(AccessTest, AStreamEndsWhenItsTokenIsWithdrawn) {
  RegisterDataset();
  const std::string sweep = Submit("watched", 1);
  As(kReader);
  grpc::ClientContext context;
  v1::WatchSweepRequest request;
  request.set_sweep(sweep);
  const auto stream = farm_->WatchSweep(&context, request);
  v1::WatchSweepResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_TRUE(
      WriteFileAtomically(path_, absl::StrCat("client anna ", kPerson, "\n"))
          .ok());
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  ASSERT_TRUE(tokens_->Reload().ok());
  // The change is what it would have been told of.
  As(kPerson);
  v1::CancelRequest cancel;
  cancel.set_target(sweep);
  ASSERT_TRUE(Ask(&Farm::Cancel, cancel).ok());
  EXPECT_FALSE(stream->Read(&response)) << response.DebugString();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(AccessTest, AWorkerIsOnlyItself) {
  RegisterDataset();
  Submit("sweep", 1);
  As(kGpu1);
  EXPECT_EQ(TryRegister("gpu2").status().code(),
            absl::StatusCode::kPermissionDenied);
  const auto session = TryRegister("gpu1-77");
  ASSERT_TRUE(session.ok()) << session.status();
  v1::AcquireLeasesRequest acquire;
  acquire.set_session(*session);
  acquire.set_free_slots(1);
  const auto leases = Work(&Workers::AcquireLeases, acquire);
  ASSERT_TRUE(leases.ok()) << leases.status();
  ASSERT_EQ(leases->leases_size(), 1);
  const int64_t token = leases->leases(0).token();

  As(kGpu2);
  EXPECT_EQ(Work(&Workers::AcquireLeases, acquire).status().code(),
            absl::StatusCode::kPermissionDenied);
  v1::HeartbeatRequest heartbeat;
  heartbeat.set_session(*session);
  EXPECT_EQ(Work(&Workers::Heartbeat, heartbeat).status().code(),
            absl::StatusCode::kPermissionDenied);
  v1::ReportProgressRequest report;
  report.set_token(token);
  report.set_started(true);
  EXPECT_EQ(Work(&Workers::ReportProgress, report).status().code(),
            absl::StatusCode::kPermissionDenied);
  // With a session of its own, too.
  const auto other = TryRegister("gpu2");
  ASSERT_TRUE(other.ok()) << other.status();
  v1::FinishAttemptRequest finish;
  finish.set_session(*other);
  finish.set_token(token);
  finish.set_outcome(v1::Attempt::FAILED);
  EXPECT_EQ(Work(&Workers::FinishAttempt, finish).status().code(),
            absl::StatusCode::kPermissionDenied);

  As(kGpu1);
  EXPECT_TRUE(Work(&Workers::ReportProgress, report).ok());
}

TEST_F(AccessTest, AnUploadThatStandsStillIsEnded) {
  server_.reset();
  options_.stall_limit = absl::Milliseconds(200);
  Start();
  As(kPerson);
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::UploadArtifactResponse response;
  const auto writer = artifacts_->UploadArtifact(&context, &response);
  v1::UploadArtifactRequest piece;
  piece.mutable_header()->set_digest(std::string(64, 'a'));
  piece.mutable_header()->set_size_bytes(1000);
  piece.set_data("begun");
  ASSERT_TRUE(writer->Write(piece));
  // Says nothing more, and waits: the server ends it, long before the deadline.
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED)
      << status.error_message();
}

TEST_F(AccessTest, AnUploadThatGoesOnFromALotDoesNotStandStill) {
  // Zeros, which take no room on the disk but time to read.
  constexpr int64_t kKept = int64_t{1} << 30;
  const std::string zeros(size_t{1} << 20, '\0');
  const absl::Duration begin = Clock::Real().Monotonic();
  Hasher hasher = Hasher::Sha256();
  for (int64_t i = 0; i < kKept; i += int64_t{1} << 20) hasher.Update(zeros);
  hasher.Update("end");
  const std::string digest = hasher.FinishHex();

  server_.reset();
  options_.stall_limit = (Clock::Real().Monotonic() - begin) / 2;
  Start();
  As(kPerson);
  {
    auto part = *AppendFile::Open(
        JoinPath(directory_, absl::StrCat("uploads/", digest, ".part")));
    ASSERT_TRUE(part->Truncate(kKept).ok());
  }
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::UploadArtifactResponse response;
  const auto writer = artifacts_->UploadArtifact(&context, &response);
  v1::UploadArtifactRequest piece;
  piece.mutable_header()->set_digest(digest);
  piece.mutable_header()->set_size_bytes(kKept + 3);
  piece.mutable_header()->set_offset(kKept);
  piece.set_data("end");
  ASSERT_TRUE(writer->Write(piece));
  ASSERT_TRUE(writer->WritesDone());
  const grpc::Status status = writer->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(AccessTest, AnArtifactAboveTheLimitIsRefused) {
  server_.reset();
  options_.artifacts.max_size_bytes = 10;
  Start();
  As(kPerson);
  EXPECT_TRUE(UploadBytes(*artifacts_, "0123456789", "a").ok());
  EXPECT_THAT(
      std::string(
          UploadBytes(*artifacts_, "0123456789X", "a").status().message()),
      HasSubstr("expected 0 to 10; the coordinator's --max-artifact"));
}

TEST_F(AccessTest, TlsLetsInOnlyWhoKnowsTheCa) {
  const std::string farm = JoinPath(directory_, "farm");
  const std::string other = JoinPath(directory_, "other");
  ASSERT_EQ(MakeCerts(farm, "localhost,127.0.0.1"), 0);
  ASSERT_EQ(MakeCerts(other, "127.0.0.1"), 0);
  const std::string ca = *ReadFile(farm + "/ca.crt");
  ASSERT_EQ(MakeCerts(farm, "gpu1"), 0);
  EXPECT_EQ(*ReadFile(farm + "/ca.crt"), ca);
  EXPECT_NE(MakeCerts(farm, "../evil"), 0);
  struct stat info;
  for (const char* file : {"/ca.key", "/localhost.key", "/gpu1.crt"}) {
    ASSERT_EQ(stat((farm + file).c_str(), &info), 0) << file;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << file;
  }

  server_.reset();
  const auto tls = MakeServerTls(
      {farm + "/localhost.crt", farm + "/localhost.key", farm + "/ca.crt"},
      Clock::Real().Now());
  ASSERT_TRUE(tls.ok()) << tls.status();
  options_.credentials = *tls;
  Start();
  ClientAccess access{.tls_ca = farm + "/ca.crt",
                      .tls_cert = farm + "/gpu1.crt",
                      .tls_key = farm + "/gpu1.key",
                      .token = kPerson};
  const auto look = [&] {
    farm_ = v1::FarmService::NewStub(Channel(access));
    return Look();
  };
  EXPECT_TRUE(look().ok()) << look();
  access.token = "nobody-0123456789";
  EXPECT_EQ(look().code(), absl::StatusCode::kUnauthenticated) << look();
  access.token = kPerson;

  // A certificate of another CA, none at all, and a CA that is not the farm's.
  access.tls_cert = other + "/127.0.0.1.crt";
  access.tls_key = other + "/127.0.0.1.key";
  EXPECT_EQ(look().code(), absl::StatusCode::kUnavailable) << look();
  access.tls_cert = access.tls_key = "";
  EXPECT_EQ(look().code(), absl::StatusCode::kUnavailable) << look();
  access.tls_ca = other + "/ca.crt";
  EXPECT_EQ(look().code(), absl::StatusCode::kUnavailable) << look();
}

TEST_F(AccessTest, ACertificateThatIsReplacedIsShownWithoutARestart) {
  const std::string farm = JoinPath(directory_, "farm");
  const std::string next = JoinPath(directory_, "next");
  ASSERT_EQ(MakeCerts(farm, "localhost,127.0.0.1"), 0);
  ASSERT_EQ(MakeCerts(next, "localhost,127.0.0.1"), 0);
  const std::string cert = farm + "/localhost.crt";
  const std::string key = farm + "/localhost.key";
  server_.reset();
  const auto tls = MakeServerTls({cert, key, ""}, Clock::Real().Now());
  ASSERT_TRUE(tls.ok()) << tls.status();
  options_.credentials = *tls;
  Start();
  // Every look makes a connection of its own.
  const auto look = [&](const std::string& ca) {
    farm_ = v1::FarmService::NewStub(
        Channel({.tls_ca = ca + "/ca.crt", .token = kPerson}));
    return Look();
  };
  ASSERT_TRUE(look(farm).ok()) << look(farm);
  EXPECT_EQ(look(next).code(), absl::StatusCode::kUnavailable);
  for (const auto& [from, to] : {std::pair(next + "/localhost.key", key),
                                 std::pair(next + "/localhost.crt", cert)}) {
    ASSERT_TRUE(WriteFileAtomically(to, *ReadFile(from)).ok());
    ASSERT_EQ(chmod(to.c_str(), 0600), 0);
  }
  EXPECT_TRUE(Until([&] { return look(next).ok(); })) << look(next);
  EXPECT_EQ(look(farm).code(), absl::StatusCode::kUnavailable);
}

TEST_F(AccessTest, ACertificateIsLookedAtBeforeItIsUsed) {
  const std::string farm = JoinPath(directory_, "farm");
  ASSERT_EQ(MakeCerts(farm, "head"), 0);
  ASSERT_EQ(MakeCerts(farm, "gpu1"), 0);
  const absl::Time now = Clock::Real().Now();
  EXPECT_TRUE(ReadKeyPair(farm + "/head.crt", farm + "/head.key", now).ok());
  EXPECT_THAT(
      std::string(ReadKeyPair(farm + "/head.crt", farm + "/gpu1.key", now)
                      .status()
                      .message()),
      HasSubstr("is not the key of the certificate"));
  EXPECT_THAT(std::string(ReadCertificates(farm + "/head.crt",
                                           now + absl::Hours(24 * 900))
                              .status()
                              .message()),
              HasSubstr("expired on"));
  EXPECT_THAT(
      std::string(ReadCertificates(farm + "/head.key", now).status().message()),
      HasSubstr("holds no certificate"));
}

}  // namespace
}  // namespace foldfarm
