#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

// What stands behind is of use only beside the source of gRPC.
constexpr size_t kMostBytes = 300;

// Files of gRPC whose errors are of one connection, or of a port that cannot be
// opened.
constexpr absl::string_view kRoutine[] = {
    "chttp2_server.cc", "secure_endpoint.cc", "security_handshaker.cc",
    "ssl_transport_security.cc"};

void WriteToOurs(gpr_log_func_args* args) {
  const std::string file = BaseName(args->file);
  const bool routine = std::find(std::begin(kRoutine), std::end(kRoutine),
                                 file) != std::end(kRoutine);
  const bool warns = args->severity == GPR_LOG_SEVERITY_ERROR && !routine;
  spdlog::log(warns ? spdlog::level::warn : spdlog::level::debug,
              "gRPC {}:{}: {}", file, args->line,
              CleanText(args->message, kMostBytes));
}

void WriteNowhere(gpr_log_func_args*) {}

void SetLogFunction(gpr_log_func function) {
  const char* wanted = std::getenv("GRPC_VERBOSITY");
  if (wanted == nullptr || *wanted == '\0') gpr_set_log_function(function);
}

}  // namespace

void SetGrpcLog() { SetLogFunction(&WriteToOurs); }

void DropGrpcLog() { SetLogFunction(&WriteNowhere); }

}  // namespace foldfarm
