// Certificate files: looked at before they are used, so that what is wrong with
// them is said in words and not by a handshake that fails.
#ifndef FOLDFARM_COMMON_RPC_CERTIFICATES_H_
#define FOLDFARM_COMMON_RPC_CERTIFICATES_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace foldfarm {

// Files are looked at again this often.
inline constexpr int kCertificateRefreshSeconds = 1;

// What a server shows and asks for, PEM files.
struct CertificateFiles {
  std::string certificate;  // And those that it was signed with, if any.
  std::string key;
  std::string client_ca;  // Empty: nobody is asked for a certificate.

  bool empty() const { return certificate.empty(); }
};

struct FreeOfOpenSsl {
  void operator()(X509* certificate) const;
  void operator()(EVP_PKEY* key) const;
};
using Certificate = std::unique_ptr<X509, FreeOfOpenSsl>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeOfOpenSsl>;

// A certificate, those that it was signed with, and its key.
struct KeyPair {
  std::vector<Certificate> chain;  // Its own first.
  PrivateKey key;
};

// At least one, and the first is valid at `now`.
// Errors: those of reading; INVALID_ARGUMENT when the file holds none;
// FAILED_PRECONDITION for one that is expired or not valid yet.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(
    const std::string& path, absl::Time now);

// The same with its private key, which only its owner and group can read, and
// which OpenSSL finds strong enough to show.
absl::StatusOr<KeyPair> ReadKeyPair(const std::string& cert_path,
                                    const std::string& key_path,
                                    absl::Time now);

// gRPC's server credentials; with a client CA only for clients with a
// certificate of it. Errors: as above.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerTls(
    const CertificateFiles& files, absl::Time now);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CERTIFICATES_H_
