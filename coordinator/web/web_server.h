// The coordinator's page, its questions, /metrics and /healthz over HTTP.
//
//   GET  /, /app.js...     the page: HTML, CSS and JavaScript, compiled in
//   GET  /api/v1/events    server-sent events, see event_stream.h;
//                          ?sweep=S &job=S/MODEL/FOLD &model=M (repeated)
//   GET  /api/v1/...       see farm_api.h
//   POST /api/v1/...       with the token only; without it every method but GET
//                          and HEAD is 403. No request has a body (413)
//   GET  /metrics          Prometheus, text format 0.0.4
//   GET  /healthz          200, or 503 and why
//
// Who may ask: whoever reaches the address may read; where the coordinator has
// a token file, whoever has a token of any role. To change something, a request
// carries `Authorization: Bearer TOKEN`, which no browser adds by itself, so
// another site cannot make a visitor's browser do it. On loopback the Host
// header must name this machine, so that a foreign name that resolves to
// 127.0.0.1 (DNS rebinding) reads nothing. The page runs no script but its own
// (Content-Security-Policy) and puts whatever it shows in as text.
//
// With certificate files it speaks HTTPS and nothing else.
//
// Thread-safe. A connection holds a thread while it lasts; event streams are
// counted and limited, and over TLS whoever is slow is let go.
#ifndef FOLDFARM_COORDINATOR_WEB_WEB_SERVER_H_
#define FOLDFARM_COORDINATOR_WEB_WEB_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/rpc/tokens.h"
#include "coordinator/service/server.h"
#include "coordinator/web/page_certificate.h"

namespace foldfarm {

struct WebOptions {
  // HOST:PORT; port 0 takes a free one.
  std::string listen;
  // With it, changes are allowed; empty: never.
  std::string token;
  // Borrowed; outlives the server. With it, reading takes a token of any role
  // and changes one of the role client; `token` is not looked at.
  TokenStore* tokens = nullptr;
  // With them the page speaks TLS.
  CertificateFiles tls;
  // The coordinator's folder, which /healthz tries to write.
  std::string directory;
  // Over TLS: what a handshake and a request may take together, and each 256
  // KiB of an answer that is no stream of events.
  absl::Duration request_time = absl::Seconds(20);
  absl::Duration response_time = absl::Seconds(60);
  // Pages that may be open; more get 503.
  int max_streams = 256;
};

class WebServer {
 public:
  // Serves from here on. `server` and `clock` are borrowed.
  // Errors: INVALID_ARGUMENT for an address; FAILED_PRECONDITION when it is
  // taken; those of PageCertificate.
  static absl::StatusOr<std::unique_ptr<WebServer>> Start(
      const WebOptions& options, CoordinatorServer& server, Clock& clock);

  // Ends all connections, within two seconds.
  ~WebServer();

  // HOST:PORT that was bound.
  const std::string& endpoint() const { return endpoint_; }
  // The same with http:// or https://.
  const std::string& url() const { return url_; }

 private:
  class Impl;
  WebServer();
  std::string endpoint_;
  std::string url_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_WEB_SERVER_H_
