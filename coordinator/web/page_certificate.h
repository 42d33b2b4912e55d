// The certificate that the page shows beyond loopback: the coordinator's own,
// read again when its files change, so that a renewed one needs no restart.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_WEB_PAGE_CERTIFICATE_H_
#define FOLDFARM_COORDINATOR_WEB_PAGE_CERTIFICATE_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/rpc/certificates.h"

namespace foldfarm {

class PageCertificate {
 public:
  // `clock` is borrowed. Errors: those of ReadKeyPair, and of ReadCertificates
  // for the CA.
  static absl::StatusOr<std::unique_ptr<PageCertificate>> Open(
      const CertificateFiles& files, Clock& clock);
  ~PageCertificate();
  PageCertificate(const PageCertificate&) = delete;
  PageCertificate& operator=(const PageCertificate&) = delete;

  // From now on `context` shows it, TLS 1.2 or newer, and with a client CA asks
  // everyone for a certificate of it. This outlives the context's handshakes.
  void Apply(SSL_CTX& context);

 private:
  struct Loaded;

  PageCertificate(CertificateFiles files, Clock& clock)
      : files_(std::move(files)), clock_(clock) {}

  static int OnHandshake(SSL* ssl, void* self);
  // What the files hold now, or held when they last were right.
  std::shared_ptr<const Loaded> Newest();
  absl::StatusOr<std::shared_ptr<const Loaded>> Load() const;
  // Another text when a file was written or replaced.
  std::string LookAtFiles() const;

  const CertificateFiles files_;
  Clock& clock_;
  absl::Mutex mu_;
  std::string seen_ ABSL_GUARDED_BY(mu_);   // LookAtFiles() of the last Load(),
  absl::Status last_ ABSL_GUARDED_BY(mu_);  // how it went,
  absl::Duration tried_ ABSL_GUARDED_BY(mu_);  // and when.
  std::shared_ptr<const Loaded> loaded_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_PAGE_CERTIFICATE_H_
