#include "common/rpc/grpc_log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <stdlib.h>

#include <memory>
#include <sstream>
#include <string>

#include "common/base/log.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class GrpcLogTest : public ::testing::Test {
 protected:
  GrpcLogTest() : logger_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log_);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("t", sink));
    unsetenv("GRPC_VERBOSITY");
    // Until gRPC starts it says nothing at all.
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  }
  ~GrpcLogTest() override {
    gpr_set_log_function(nullptr);  // gRPC's own.
    spdlog::set_default_logger(logger_);
  }

  void Say(const char* file, const std::string& text) {
    gpr_log(file, 7, GPR_LOG_SEVERITY_ERROR, "%s", text.c_str());
  }

  std::ostringstream log_;
  const std::shared_ptr<spdlog::logger> logger_;
};

TEST_F(GrpcLogTest, AnErrorIsAWarningInOurLog) {
  SetGrpcLog();
  Say("./src/core/lib/iomgr/tcp_server.cc",
      "Failed accept4:\nToo many open files " + std::string(1000, 'x'));
  EXPECT_THAT(log_.str(), AllOf(HasSubstr("warning"),
                                HasSubstr("gRPC tcp_server.cc:7: Failed "
                                          "accept4:?Too many open files xxx"),
                                Not(HasSubstr(std::string(400, 'x')))));
}

TEST_F(GrpcLogTest, WhatAnyCallerCanCauseIsForDebugging) {
  SetGrpcLog();
  Say("./src/core/tsi/ssl_transport_security.cc", "Handshake failed");
  EXPECT_EQ(log_.str(), "");
  spdlog::default_logger()->set_level(spdlog::level::debug);
  Say("./src/core/tsi/ssl_transport_security.cc", "Handshake failed");
  EXPECT_THAT(log_.str(), AllOf(HasSubstr("debug"),
                                HasSubstr("ssl_transport_security.cc:7: "
                                          "Handshake failed")));
}

TEST_F(GrpcLogTest, ACommandDropsItAll) {
  DropGrpcLog();
  ::testing::internal::CaptureStderr();
  Say("a.cc", "Too many open files");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(log_.str(), "");
}

TEST_F(GrpcLogTest, WhoAskedForItGetsItRaw) {
  setenv("GRPC_VERBOSITY", "error", /*overwrite=*/1);
  SetGrpcLog();
  DropGrpcLog();
  ::testing::internal::CaptureStderr();
  Say("a.cc", "Too many open files");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("Too many open files"));
  EXPECT_EQ(log_.str(), "");
  unsetenv("GRPC_VERBOSITY");
}

}  // namespace
}  // namespace foldfarm
