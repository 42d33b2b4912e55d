#include "coordinator/web/page_certificate.h"

#include <openssl/x509.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

using CaStore = std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)>;

}  // namespace

struct PageCertificate::Loaded {
  KeyPair pair;
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
  bool used = SSL_use_certificate(ssl, loaded->pair.chain[0].get()) == 1 &&
              SSL_use_PrivateKey(ssl, loaded->pair.key.get()) == 1;
  for (size_t i = 1; used && i < loaded->pair.chain.size(); ++i) {
    used = SSL_add1_chain_cert(ssl, loaded->pair.chain[i].get()) == 1;
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
  auto loaded = std::make_shared<Loaded>();
  FOLDFARM_ASSIGN_OR_RETURN(
      loaded->pair, ReadKeyPair(files_.certificate, files_.key, clock_.Now()));
  if (files_.client_ca.empty()) return loaded;
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<Certificate> authorities,
                            ReadCertificates(files_.client_ca, clock_.Now()));
  loaded->client_ca.reset(X509_STORE_new());
  for (const Certificate& authority : authorities) {
    // Fails only for want of memory, and then lets in nobody.
    X509_STORE_add_cert(loaded->client_ca.get(), authority.get());
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
