// Certificate files: looked at before they are used, so that what is wrong with
// them is said in words and not by a handshake that fails.
#ifndef FOLDFARM_COMMON_RPC_CERTIFICATES_H_
#define FOLDFARM_COMMON_RPC_CERTIFICATES_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace foldfarm {

// Files are looked at again this often.
inline constexpr int kCertificateRefreshSeconds = 1;

// OK for a PEM file of certificates that are valid at `now`.
// Errors: those of reading; INVALID_ARGUMENT; FAILED_PRECONDITION for one that
// is expired or not valid yet.
absl::Status CheckCertificate(const std::string& path, absl::Time now);

// The same, and `key_path` is its private key, which only its owner and group
// can read.
absl::Status CheckKeyPair(const std::string& cert_path,
                          const std::string& key_path, absl::Time now);

// A server's credentials; with `client_ca` only for clients with a certificate
// of that CA. Errors: as above.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerTls(
    const std::string& cert_path, const std::string& key_path,
    const std::string& client_ca, absl::Time now);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CERTIFICATES_H_
