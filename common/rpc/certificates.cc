#include "common/rpc/certificates.h"

#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
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

// Whether OpenSSL would show it; what it finds too weak fails every handshake.
absl::Status CheckStrength(const KeyPair& pair) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
      SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  bool usable =
      context != nullptr &&
      SSL_CTX_use_certificate(context.get(), pair.chain[0].get()) == 1 &&
      SSL_CTX_use_PrivateKey(context.get(), pair.key.get()) == 1;
  for (size_t i = 1; usable && i < pair.chain.size(); ++i) {
    usable = SSL_CTX_add1_chain_cert(context.get(), pair.chain[i].get()) == 1;
  }
  if (usable) return absl::OkStatus();
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat("OpenSSL does not take this certificate: ",
                   reason != nullptr ? reason : "it does not say why"));
}

}  // namespace

void FreeOfOpenSsl::operator()(X509* certificate) const {
  X509_free(certificate);
}
void FreeOfOpenSsl::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

absl::StatusOr<std::vector<Certificate>> ReadCertificates(
    const std::string& path, absl::Time now) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Bio bio = BioOf(text);
  std::vector<Certificate> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next);
  }
  ERR_clear_error();  // The end of the file is one.
  if (certificates.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": holds no certificate, expected PEM (-----BEGIN CERTIFICATE-----"
        "); deploy/certs makes one"));
  }
  std::time_t at = absl::ToTimeT(now);
  const ASN1_TIME* begin = X509_get0_notBefore(certificates[0].get());
  const ASN1_TIME* end = X509_get0_notAfter(certificates[0].get());
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
  return certificates;
}

absl::StatusOr<KeyPair> ReadKeyPair(const std::string& cert_path,
                                    const std::string& key_path,
                                    absl::Time now) {
  KeyPair pair;
  FOLDFARM_ASSIGN_OR_RETURN(pair.chain, ReadCertificates(cert_path, now));
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
  pair.key.reset(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  const bool fits =
      pair.key != nullptr &&
      X509_check_private_key(pair.chain[0].get(), pair.key.get()) == 1;
  ERR_clear_error();
  if (pair.key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_path,
                     ": holds no private key without a password, "
                     "expected PEM (-----BEGIN PRIVATE KEY-----)"));
  }
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        key_path, ": is not the key of the certificate in ", cert_path));
  }
  FOLDFARM_RETURN_IF_ERROR(Annotate(CheckStrength(pair), cert_path));
  return pair;
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerTls(
    const CertificateFiles& files, absl::Time now) {
  FOLDFARM_RETURN_IF_ERROR(
      ReadKeyPair(files.certificate, files.key, now).status());
  if (!files.client_ca.empty()) {
    FOLDFARM_RETURN_IF_ERROR(ReadCertificates(files.client_ca, now).status());
  }
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          files.key, files.certificate, files.client_ca,
          kCertificateRefreshSeconds));
  options.watch_identity_key_cert_pairs();
  if (!files.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace foldfarm
