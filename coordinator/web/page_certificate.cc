#include "coordinator/web/page_certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/certificates.h"

namespace foldfarm {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CaStore = std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)>;

absl::StatusOr<Bio> OpenPem(const std::string& path, std::string& text) {
  FOLDFARM_ASSIGN_OR_RETURN(text, ReadFile(path));
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
             BIO_free);
}

absl::StatusOr<std::vector<Certificate>> ReadCertificates(
    const std::string& path) {
  std::string text;
  FOLDFARM_ASSIGN_OR_RETURN(const Bio bio, OpenPem(path, text));
  std::vector<Certificate> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next, X509_free);
  }
  ERR_clear_error();  // The end of the file is one.
  return certificates;
}

// OpenSSL's last words.
std::string TakeError() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "OpenSSL does not say why";
}

// Whether OpenSSL would show it; what it finds too weak fails every handshake.
absl::Status CheckUse(X509& certificate, EVP_PKEY& key) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
      SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context != nullptr &&
      SSL_CTX_use_certificate(context.get(), &certificate) == 1 &&
      SSL_CTX_use_PrivateKey(context.get(), &key) == 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the certificate cannot be used: ", TakeError()));
}

}  // namespace

struct PageCertificate::Loaded {
  std::vector<Certificate> chain;  // Its own first.
  Key key{nullptr, EVP_PKEY_free};
  CaStore client_ca{nullptr, X509_STORE_free};
};

PageCertificate::~PageCertificate() = default;

absl::StatusOr<std::unique_ptr<PageCertificate>> PageCertificate::Open(
    const CertificateFiles& files, Clock& clock) {
  std::unique_ptr<PageCertificate> opened(new PageCertificate(files, clock));
  absl::MutexLock lock(&opened->mu_);
  opened->seen_ = opened->LookAtFiles();
  FOLDFARM_ASSIGN_OR_RETURN(opened->loaded_, opened->Load());
  return opened;
}

void PageCertificate::Apply(SSL_CTX& context) {
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  // A session that is taken up again would show neither side's certificate.
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(&context, 0);
  SSL_CTX_set_options(&context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_cert_cb(&context, &PageCertificate::OnHandshake, this);
}

int PageCertificate::OnHandshake(SSL* ssl, void* self) {
  const std::shared_ptr<const Loaded> loaded =
      static_cast<PageCertificate*>(self)->Newest();
  SSL_clear_chain_certs(ssl);  // A handshake may have to begin again.
  bool used = SSL_use_certificate(ssl, loaded->chain[0].get()) == 1 &&
              SSL_use_PrivateKey(ssl, loaded->key.get()) == 1;
  for (size_t i = 1; used && i < loaded->chain.size(); ++i) {
    used = SSL_add1_chain_cert(ssl, loaded->chain[i].get()) == 1;
  }
  if (used && loaded->client_ca != nullptr) {
    used = SSL_set1_verify_cert_store(ssl, loaded->client_ca.get()) == 1;
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                   nullptr);
  }
  return used ? 1 : 0;
}

std::shared_ptr<const PageCertificate::Loaded> PageCertificate::Newest() {
  absl::MutexLock lock(&mu_);
  std::string seen = LookAtFiles();
  const absl::Duration now = clock_.Monotonic();
  // What went wrong may be mended without a change of the files.
  const bool again =
      !last_.ok() && now - tried_ >= absl::Seconds(kCertificateRefreshSeconds);
  if (seen == seen_ && !again) return loaded_;
  seen_ = std::move(seen);
  tried_ = now;
  auto loaded = Load();
  if (loaded.ok()) {
    loaded_ = *std::move(loaded);
    SPDLOG_INFO("page certificate={} read again", files_.certificate);
  } else if (loaded.status() != last_) {
    // One of two files is new; or a mistake.
    SPDLOG_WARN("the page's certificate stays as it was: {}",
                std::string(loaded.status().message()));
  }
  last_ = loaded.status();
  return loaded_;
}

absl::StatusOr<std::shared_ptr<const PageCertificate::Loaded>>
PageCertificate::Load() const {
  FOLDFARM_RETURN_IF_ERROR(
      CheckKeyPair(files_.certificate, files_.key, clock_.Now()));
  auto loaded = std::make_shared<Loaded>();
  FOLDFARM_ASSIGN_OR_RETURN(loaded->chain,
                            ReadCertificates(files_.certificate));
  std::string text;
  FOLDFARM_ASSIGN_OR_RETURN(const Bio bio, OpenPem(files_.key, text));
  // Never asks for a password.
  loaded->key.reset(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  ERR_clear_error();
  // The files may have been replaced since they were looked at.
  if (loaded->chain.empty() || loaded->key == nullptr ||
      X509_check_private_key(loaded->chain[0].get(), loaded->key.get()) != 1) {
    ERR_clear_error();
    return absl::AbortedError(
        absl::StrCat(files_.certificate, " changes while it is read"));
  }
  FOLDFARM_RETURN_IF_ERROR(CheckUse(*loaded->chain[0], *loaded->key));
  if (files_.client_ca.empty()) return loaded;
  FOLDFARM_RETURN_IF_ERROR(CheckCertificate(files_.client_ca, clock_.Now()));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<Certificate> authorities,
                            ReadCertificates(files_.client_ca));
  loaded->client_ca.reset(X509_STORE_new());
  for (const Certificate& authority : authorities) {
    if (X509_STORE_add_cert(loaded->client_ca.get(), authority.get()) == 1) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat(files_.client_ca, ": ", TakeError()));
  }
  return loaded;
}

std::string PageCertificate::LookAtFiles() const {
  std::string seen;
  for (const std::string* path :
       {&files_.certificate, &files_.key, &files_.client_ca}) {
    struct stat info = {};
    if (path->empty() || stat(path->c_str(), &info) != 0) {
      absl::StrAppend(&seen, "-;");
      continue;
    }
    absl::StrAppend(&seen, info.st_dev, " ", info.st_ino, " ", info.st_size,
                    " ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, " ",
                    info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec, ";");
  }
  return seen;
}

}  // namespace foldfarm
