#include "common/rpc/certificates.h"

#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio BioOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
             BIO_free);
}

std::string Day(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable day";
  return absl::FormatTime("%Y-%m-%d %H:%M UTC",
                          absl::FromTM(parts, absl::UTCTimeZone()),
                          absl::UTCTimeZone());
}

absl::StatusOr<Certificate> ReadCertificate(const std::string& path,
                                            absl::Time now) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Bio bio = BioOf(text);
  Certificate certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  ERR_clear_error();
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": holds no certificate, expected PEM (-----BEGIN CERTIFICATE-----"
        "); deploy/certs makes one"));
  }
  std::time_t at = absl::ToTimeT(now);
  const ASN1_TIME* begin = X509_get0_notBefore(certificate.get());
  const ASN1_TIME* end = X509_get0_notAfter(certificate.get());
  if (X509_cmp_time(begin, &at) > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the certificate is valid only from ", Day(begin),
                     "; is this machine's clock right?"));
  }
  if (X509_cmp_time(end, &at) < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the certificate expired on ", Day(end),
                     "; make a new one with deploy/certs"));
  }
  return certificate;
}

}  // namespace

absl::Status CheckCertificate(const std::string& path, absl::Time now) {
  return ReadCertificate(path, now).status();
}

absl::Status CheckKeyPair(const std::string& cert_path,
                          const std::string& key_path, absl::Time now) {
  FOLDFARM_ASSIGN_OR_RETURN(const Certificate certificate,
                            ReadCertificate(cert_path, now));
  struct stat info;
  if (stat(key_path.c_str(), &info) != 0) {
    return ErrnoStatus(key_path, "cannot read");
  }
  if ((info.st_mode & S_IRWXO) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(key_path,
                     ": everybody on this machine may read this "
                     "private key; run `chmod 600 ",
                     key_path, "`"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(key_path));
  const Bio bio = BioOf(text);
  // Never asks for a password.
  const Key key(PEM_read_bio_PrivateKey(
                    bio.get(), nullptr,
                    [](char*, int, int, void*) { return -1; }, nullptr),
                EVP_PKEY_free);
  const bool fits = key != nullptr &&
                    X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_path,
                     ": holds no private key without a password, "
                     "expected PEM (-----BEGIN PRIVATE KEY-----)"));
  }
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        key_path, ": is not the key of the certificate in ", cert_path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerTls(
    const std::string& cert_path, const std::string& key_path,
    const std::string& client_ca, absl::Time now) {
  FOLDFARM_RETURN_IF_ERROR(CheckKeyPair(cert_path, key_path, now));
  if (!client_ca.empty()) {
    FOLDFARM_RETURN_IF_ERROR(CheckCertificate(client_ca, now));
  }
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          key_path, cert_path, client_ca, kCertificateRefreshSeconds));
  options.watch_identity_key_cert_pairs();
  if (!client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace foldfarm
