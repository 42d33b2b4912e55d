// How a program proves who it is to a coordinator, and knows the coordinator.
//
// 1. TLS: with `tls_ca` the coordinator must show a certificate of that CA for
//    its host name; with `tls_cert` and `tls_key` the program shows its own.
// 2. A token goes with every call, as `authorization: Bearer TOKEN`. It never
//    leaves this machine unencrypted unless `insecure` says so.
// All files are read again when they change, so a daemon outlives their
// renewal.
#ifndef FOLDFARM_COMMON_RPC_CLIENT_ACCESS_H_
#define FOLDFARM_COMMON_RPC_CLIENT_ACCESS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/rpc/channel.h"

namespace foldfarm {

struct ClientAccess {
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  std::string token_file;
  // FOLDFARM_TOKEN: the token itself. Not a flag, which others could see in the
  // list of processes.
  std::string token;
  bool insecure = false;
};

// Declares the flags on a CLI::App; their defaults come from the environment.
template <typename App>
void AddAccessFlags(App& app, ClientAccess& access) {
  app.add_option("--tls-ca", access.tls_ca,
                 "Talk TLS, to a coordinator with a certificate of this CA")
      ->envname("FOLDFARM_TLS_CA")
      ->type_name("FILE");
  app.add_option("--tls-cert", access.tls_cert,
                 "Own certificate, where the coordinator asks for one")
      ->envname("FOLDFARM_TLS_CERT")
      ->type_name("FILE");
  app.add_option("--tls-key", access.tls_key, "Its key")
      ->envname("FOLDFARM_TLS_KEY")
      ->type_name("FILE");
  app.add_option("--token-file", access.token_file,
                 "File with the token to show; or put the token itself into "
                 "the environment as FOLDFARM_TOKEN")
      ->envname("FOLDFARM_TOKEN_FILE")
      ->type_name("FILE");
  app.add_flag("--insecure", access.insecure,
               "Send the token without encryption, also to other machines");
}

// What ClientAccess comes to.
struct FarmChannel {
  // Null: no encryption.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  // Asked before every call, one at a time, for the token that goes with it;
  // null: none does.
  std::function<std::string()> token = nullptr;
  // The credentials have a certificate of the program's own.
  bool shows_certificate = false;
};

// A channel as channel.h's, with the token on every call.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint,
                                           const FarmChannel& options);

// What MakeChannel() needs for `endpoint`, FOLDFARM_TOKEN included.
// Errors: INVALID_ARGUMENT and FAILED_PRECONDITION for files that are missing,
// unusable, expired or readable by everybody, half of a pair, and a token that
// would travel unencrypted; each says what to do.
absl::StatusOr<FarmChannel> ToFarmChannel(const ClientAccess& access,
                                          const std::string& endpoint);

// Why a connection failed, where TLS is the reason: "hung up at once...", to be
// put behind "the coordinator at HOST:PORT "; else empty. `failed` is
// UNAVAILABLE as gRPC reports it.
std::string TlsAdvice(const absl::Status& failed, const FarmChannel& options);

// Whether a client can call `endpoint`: HOST:PORT, an IPv6 address in brackets,
// a port from 1 to 65535.
// Errors: INVALID_ARGUMENT: `got "foo", expected HOST:PORT, ...`.
absl::Status CheckEndpoint(absl::string_view endpoint);

// Whether only this machine answers at `host`: localhost, 127.x.x.x, [::1].
bool IsLoopbackHost(absl::string_view host);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CLIENT_ACCESS_H_
