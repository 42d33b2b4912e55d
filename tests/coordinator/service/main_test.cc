// The program foldfarm-coordinator, from outside.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/channel.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "tests/testing/certs.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class MainTest : public ::testing::Test {
 protected:
  MainTest() : directory_(*MakeTemporaryDirectory("foldfarm-main-")) {}
  ~MainTest() override { RemoveRecursively(directory_).IgnoreError(); }

  // Starts the program with its output in a pipe.
  std::unique_ptr<Subprocess> Spawn(std::vector<std::string> arguments) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    SubprocessOptions options;
    options.argv = {absl::StrCat(FOLDFARM_BIN_DIR, "/foldfarm-coordinator")};
    for (std::string& argument : arguments) {
      options.argv.push_back(std::move(argument));
    }
    options.descriptors = {{1, ends[1]}, {2, ends[1]}};
    auto child = Subprocess::Spawn(options);
    EXPECT_TRUE(child.ok()) << child.status();
    close(ends[1]);
    if (output_ >= 0) close(output_);
    output_ = ends[0];
    return *std::move(child);
  }

  // Reads until `text` came or the output ended; returns all that was read.
  std::string ReadUntil(const std::string& text) {
    std::string all;
    char buffer[4096];
    while (!absl::StrContains(all, text)) {
      const ssize_t n = read(output_, buffer, sizeof(buffer));
      if (n <= 0) break;
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }
  std::string ReadAll() { return ReadUntil(std::string(1, '\0')); }

  // Starts a coordinator on a free port; returns its endpoint.
  std::string Serve(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> arguments = {
        "--dir", directory_, "--listen", "127.0.0.1:0", "--log-level", "error"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    child_ = Spawn(std::move(arguments));
    const std::string said = ReadUntil("\n");
    EXPECT_TRUE(absl::StartsWith(said, "listening on 127.0.0.1:")) << said;
    return said.substr(13, said.find('\n') - 13);
  }

  const std::string directory_;
  std::unique_ptr<Subprocess> child_;
  int output_ = -1;
};

TEST_F(MainTest, SaysWhereItListensAndStopsOnSigterm) {
  const std::string endpoint = Serve();
  EXPECT_EQ(*ReadFile(JoinPath(directory_, "endpoint")), endpoint + "\n");
  const auto stub = v1::FarmService::NewStub(MakeChannel(endpoint));
  EXPECT_TRUE(UnaryCall(*stub, &v1::FarmService::StubInterface::ListSweeps,
                        v1::ListSweepsRequest(), absl::Seconds(30))
                  .ok());
  child_->Signal(SIGTERM);
  const ExitState end = child_->Wait();
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.exit_status, 0);
}

TEST_F(MainTest, ComesBackAfterKill9) {
  Serve();
  child_->Signal(SIGKILL);
  EXPECT_EQ(child_->Wait().signal, SIGKILL);
  const auto stub = v1::FarmService::NewStub(MakeChannel(Serve()));
  EXPECT_TRUE(UnaryCall(*stub, &v1::FarmService::StubInterface::ListSweeps,
                        v1::ListSweepsRequest(), absl::Seconds(30))
                  .ok());
}

TEST_F(MainTest, ASecondOneOnTheFolderFailsAtOnce) {
  Serve();
  const auto second = Spawn({"--dir", directory_, "--listen", "127.0.0.1:0"});
  EXPECT_THAT(ReadAll(), HasSubstr("another coordinator serves"));
  EXPECT_EQ(second->Wait().exit_status, 1);
}

TEST_F(MainTest, AnOpenAddressNeedsAWord) {
  for (const char* flag : {"--listen", "--http"}) {
    const auto child = Spawn({"--dir", directory_, flag, "0.0.0.0:0"});
    EXPECT_THAT(ReadAll(), AllOf(HasSubstr(flag), HasSubstr("--insecure"),
                                 HasSubstr("has neither TLS nor tokens")));
    EXPECT_EQ(child->Wait().exit_status, 2);
  }
}

TEST_F(MainTest, WrongUsageIsExplained) {
  const auto child = Spawn({});
  EXPECT_THAT(ReadAll(), HasSubstr("--dir is required"));
  EXPECT_EQ(child->Wait().exit_status, 2);
  const auto help = Spawn({"--help"});
  EXPECT_THAT(ReadAll(), AllOf(HasSubstr("Example:"),
                               HasSubstr("at most half of the lease")));
  EXPECT_EQ(help->Wait().exit_status, 0);
}

TEST_F(MainTest, AWrongNumberIsToldWithWhatIsExpected) {
  const std::vector<std::vector<std::string>> cases = {
      {"--spare", "-1", "got -1, expected at least 0"},
      {"--max-store", "x", "got \"x\", expected a number, at least 0"},
      {"--gc-hours", "-0.5", "got -0.5, expected at least 0"},
      {"--max-artifact", "2e9", "got 2e9, expected 0.001 to 1048576"},
      {"--lease-seconds", "0", "got 0, expected 0.1 to 86400"}};
  for (const std::vector<std::string>& one : cases) {
    const auto child = Spawn({"--dir", directory_, one[0], one[1]});
    EXPECT_EQ(ReadAll(),
              absl::StrCat("foldfarm-coordinator: ", one[0], ": ", one[2],
                           "\nSee foldfarm-coordinator --help.\n"));
    EXPECT_EQ(child->Wait().exit_status, 2);
  }
}

TEST_F(MainTest, AMistypedOptionIsTold) {
  const auto child = Spawn({"--dirr", directory_});
  EXPECT_THAT(ReadAll(), StartsWith("foldfarm-coordinator: unknown option "
                                    "\"--dirr\" (did you mean \"--dir\"?)\n"));
  EXPECT_EQ(child->Wait().exit_status, 2);
}

TEST_F(MainTest, APortThatIsTakenIsToldInOneSentence) {
  const std::string endpoint = Serve();
  const auto second =
      Spawn({"--dir", JoinPath(directory_, "second"), "--listen", endpoint});
  EXPECT_THAT(ReadAll(), AllOf(HasSubstr("cannot listen on"),
                               Not(HasSubstr("chttp2_server.cc"))));
  EXPECT_EQ(second->Wait().exit_status, 1);
}

TEST_F(MainTest, WhoSpeaksNoTlsFillsNoLog) {
  const std::string certs = JoinPath(directory_, "certs");
  ASSERT_EQ(MakeCerts(certs, "localhost"), 0);
  const std::string endpoint =
      Serve({"--tls-cert", JoinPath(certs, "localhost.crt"), "--tls-key",
             JoinPath(certs, "localhost.key")});
  const auto stub = v1::FarmService::NewStub(MakeChannel(endpoint));
  EXPECT_FALSE(UnaryCall(*stub, &v1::FarmService::StubInterface::ListSweeps,
                         v1::ListSweepsRequest(), absl::Seconds(30))
                   .ok());
  child_->Signal(SIGTERM);
  EXPECT_THAT(ReadAll(), Not(HasSubstr("ssl_transport_security.cc")));
  EXPECT_EQ(child_->Wait().exit_status, 0);
}

// Calls that any gRPC tool makes, in bytes: their protos are not ours.
std::string Bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

std::string CallRaw(const std::string& endpoint, const std::string& method,
                    const std::string& request) {
  grpc::GenericStub stub(MakeChannel(endpoint));
  grpc::ClientContext context;
  SetTimeout(context, absl::Seconds(30));
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto stream = stub.PrepareCall(&context, method, &queue);
  const auto next = [&] { return queue.Next(&tag, &ok) && ok; };
  stream->StartCall(nullptr);
  EXPECT_TRUE(next());
  const grpc::Slice slice(request);
  stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  EXPECT_TRUE(next());
  stream->WritesDone(nullptr);
  EXPECT_TRUE(next());
  grpc::ByteBuffer response;
  stream->Read(&response, nullptr);
  if (!next()) return "";
  grpc::Status status;
  stream->Finish(&status, nullptr);
  next();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return Bytes(response);
}

TEST_F(MainTest, ToolsFindItsHealthAndItsServices) {
  const std::string endpoint = Serve();
  // HealthCheckResponse{status: SERVING}.
  EXPECT_EQ(CallRaw(endpoint, "/grpc.health.v1.Health/Check", ""), "\x08\x01");
  // ServerReflectionRequest{list_services: ""}.
  const std::string services =
      CallRaw(endpoint,
              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string("\x3a\x00", 2));
  EXPECT_THAT(services, HasSubstr("foldfarm.v1.FarmService"));
  EXPECT_THAT(services, HasSubstr("foldfarm.v1.WorkerService"));
}

}  // namespace
}  // namespace foldfarm
