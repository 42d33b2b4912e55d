#include "coordinator/web/web_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/client_access.h"
#include "common/rpc/retry.h"
#include "coordinator/web/assets.h"
#include "coordinator/web/connection_guard.h"
#include "coordinator/web/connection_threads.h"
#include "coordinator/web/event_stream.h"
#include "coordinator/web/farm_api.h"
#include "coordinator/web/farm_feed.h"
#include "coordinator/web/health.h"
#include "coordinator/web/http_access.h"
#include "coordinator/web/http_reply.h"
#include "coordinator/web/json.h"
#include "coordinator/web/metrics_text.h"

namespace foldfarm {
namespace {

// Threads for short requests, beside those of event streams.
constexpr int kRequestThreads = 64;
// A connection that sends or takes nothing for so long is closed.
constexpr int kIoTimeoutSeconds = 5;
constexpr int kKeepAliveSeconds = 1;
constexpr int kMaxRequestsPerConnection = 1000;
// A piece of an event; between two the deadline is looked at.
constexpr size_t kSendBytes = 16 << 10;
// A reader that takes longer for one batch of events is let go; it reconnects.
constexpr absl::Duration kBatchTime = absl::Seconds(10);
constexpr absl::Duration kStartTime = absl::Seconds(10);

constexpr char kApi[] = "/api/v1/";
constexpr char kText[] = "text/plain; charset=utf-8";

}  // namespace

class WebServer::Impl {
 public:
  Impl(const WebOptions& options, CoordinatorServer& server, Clock& clock)
      : options_(options),
        server_(server),
        clock_(clock),
        feed_(server.store(), server.queue(), clock),
        api_(server.farm()),
        health_(server.store(), clock, options.directory) {
    for (const Asset& asset : Assets()) {
      assets_[std::string(asset.path)] = {
          &asset,
          absl::StrCat("\"", Sha256Hex(asset.content).substr(0, 16), "\"")};
    }
  }

  ~Impl() {
    stopping_ = true;
    if (http_ != nullptr) http_->stop();
    if (thread_.joinable()) thread_.join();
  }

  // Returns the bound address.
  absl::StatusOr<std::string> Listen();

 private:
  struct KnownAsset {
    const Asset* asset = nullptr;
    std::string etag;
  };

  absl::Status MakeServer();
  void HandleGet(const httplib::Request& request, httplib::Response& response);
  void HandleChange(const httplib::Request& request,
                    httplib::Response& response);
  void ReplyAsset(const KnownAsset& known, const httplib::Request& request,
                  httplib::Response& response);
  void ReplyEvents(const httplib::Request& request,
                   httplib::Response& response);
  // False: the reader has gone, or is too slow.
  bool Send(const std::string& batch, httplib::DataSink& sink);
  bool stopping() const { return stopping_ || server_.queue().stopping(); }

  const WebOptions options_;
  CoordinatorServer& server_;
  Clock& clock_;
  // Names this run, so that a page notices another one.
  const std::string instance_ = NewRandomId();
  FarmFeed feed_;
  FarmApi api_;
  Health health_;
  std::map<std::string, KnownAsset> assets_;
  bool loopback_ = true;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> ended_ = false;
  std::atomic<int> streams_ = 0;
  // Of TLS; null: plain HTTP.
  std::unique_ptr<PageCertificate> certificate_;
  std::unique_ptr<ConnectionGuard> guard_;
  std::unique_ptr<httplib::Server> http_;
  std::thread thread_;
};

absl::Status WebServer::Impl::MakeServer() {
  if (options_.tls.empty()) {
    http_ = std::make_unique<httplib::Server>();
    return absl::OkStatus();
  }
  FOLDFARM_ASSIGN_OR_RETURN(certificate_,
                            PageCertificate::Open(options_.tls, clock_));
  guard_ = std::make_unique<ConnectionGuard>(options_.request_time,
                                             options_.response_time, clock_);
  http_ = std::make_unique<httplib::SSLServer>([this](SSL_CTX& context) {
    certificate_->Apply(context);
    guard_->Watch(context);
    return true;
  });
  if (http_->is_valid()) return absl::OkStatus();
  return absl::InternalError("OpenSSL has no TLS for the page");
}

absl::StatusOr<std::string> WebServer::Impl::Listen() {
  FOLDFARM_ASSIGN_OR_RETURN(const auto address, ParseEndpoint(options_.listen));
  loopback_ = IsLoopbackHost(address.first);
  FOLDFARM_RETURN_IF_ERROR(MakeServer());
  http_->new_task_queue = [this, max = options_.max_streams + kRequestThreads] {
    return new ConnectionThreads(max, stopping_);
  };
  // The library's default would let two programs share the port.
  http_->set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  http_->set_tcp_nodelay(true);
  http_->set_default_headers(CommonHeaders());
  http_->set_read_timeout(kIoTimeoutSeconds);
  http_->set_write_timeout(kIoTimeoutSeconds);
  http_->set_keep_alive_timeout(kKeepAliveSeconds);
  http_->set_keep_alive_max_count(kMaxRequestsPerConnection);
  http_->set_pre_routing_handler([this](const httplib::Request& request,
                                        httplib::Response& response) {
    response.set_header("Cache-Control", "no-store");
    // Nothing here is sent in parts. The library has read the header before
    // anybody could forbid it, and believes offsets beyond the end.
    const_cast<httplib::Request&>(request).ranges.clear();
    const std::string host = request.get_header_value("Host");
    if (HasBody(request)) {
      // Not read, whoever sends it: what comes next on the connection is lost.
      response.set_header("Connection", "close");
      Reply(response, 413, kJson,
            ErrorToJson(absl::InvalidArgumentError(
                "the request has a body; nothing here takes one")));
      return httplib::Server::HandlerResponse::Handled;
    }
    if (!loopback_ || NamesThisMachine(host)) {
      ConnectionGuard::NoteRequest();
      if (request.method == "GET" || request.method == "HEAD") {
        HandleGet(request, response);
      } else {
        HandleChange(request, response);
      }
      return httplib::Server::HandlerResponse::Handled;
    }
    ReplyError(response, absl::PermissionDeniedError(absl::StrCat(
                             "the Host header is \"", host,
                             "\", expected localhost, 127.0.0.1 or [::1]")));
    return httplib::Server::HandlerResponse::Handled;
  });
  // Called when an answer was sent.
  http_->set_logger([](const httplib::Request&, const httplib::Response&) {
    ConnectionGuard::NoteResponse();
  });
  http_->set_exception_handler([](const httplib::Request& request,
                                  httplib::Response& response,
                                  std::exception_ptr) {
    SPDLOG_ERROR("http path={} failed with an exception", request.path);
    ReplyError(response, absl::InternalError("an exception; see the log"));
  });

  // Brackets belong to an address, not to a host.
  const std::string host(
      absl::StripSuffix(absl::StripPrefix(address.first, "["), "]"));
  int port = address.second;
  const bool bound = port == 0 ? (port = http_->bind_to_any_port(host)) > 0
                               : http_->bind_to_port(host, port);
  if (!bound) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot serve the page at ", options_.listen,
                     "; is the port taken by another program?"));
  }
  thread_ = std::thread([this] {
    http_->listen_after_bind();
    ended_ = true;
  });
  // stop() is heard only once the server runs.
  WaitUnlessCancelled(Clock::Real(), kStartTime,
                      [this] { return http_->is_running() || ended_; });
  if (!http_->is_running()) {
    return absl::InternalError(
        absl::StrCat("the page at ", options_.listen, " does not start"));
  }
  return absl::StrCat(address.first, ":", port);
}

void WebServer::Impl::HandleGet(const httplib::Request& request,
                                httplib::Response& response) {
  if (request.path == "/healthz") {
    const absl::Status status = health_.Check();
    return Reply(response, status.ok() ? 200 : 503, kText,
                 status.ok()
                     ? "ok\n"
                     : absl::StrCat(std::string(status.message()), "\n"));
  }
  if (options_.tokens != nullptr) {
    const absl::Status may =
        MayRead(*options_.tokens, request.get_header_value("Authorization"));
    if (!may.ok()) {
      response.set_header("WWW-Authenticate", "Basic realm=\"foldfarm\"");
      return ReplyError(response, may);
    }
  }
  if (request.path == "/metrics") {
    const auto text =
        RenderMetrics({server_.store(), server_.files(), server_.queue(),
                       server_.rpc_metrics(), clock_},
                      streams_);
    if (!text.ok()) return ReplyError(response, text.status());
    return Reply(response, 200, "text/plain; version=0.0.4; charset=utf-8",
                 *text);
  }
  if (const auto known = assets_.find(request.path); known != assets_.end()) {
    return ReplyAsset(known->second, request, response);
  }
  absl::string_view path = request.path;
  if (!absl::ConsumePrefix(&path, kApi)) {
    return ReplyError(
        response, absl::NotFoundError(absl::StrCat(
                      "nothing is at ", request.path, "; the page is at /")));
  }
  if (path == "events") return ReplyEvents(request, response);
  const auto json =
      api_.Get(std::string(path), request.get_param_value("full") == "true");
  if (!json.ok()) return ReplyError(response, json.status());
  Reply(response, 200, kJson, *json);
}

void WebServer::Impl::HandleChange(const httplib::Request& request,
                                   httplib::Response& response) {
  const std::string header = request.get_header_value("Authorization");
  absl::string_view token = header;
  const bool bearer = absl::ConsumePrefix(&token, "Bearer ");
  if (options_.tokens != nullptr) {
    const absl::Status may = MayChange(*options_.tokens, header);
    if (!may.ok()) return ReplyError(response, may);
  } else if (options_.token.empty() || !bearer ||
             !SameSecret(token, options_.token)) {
    return ReplyError(
        response,
        absl::PermissionDeniedError(
            options_.token.empty()
                ? "this page is read-only; the coordinator was started without "
                  "--http-token-file"
                : "the token is missing or wrong; it is in the file named by "
                  "the coordinator's --http-token-file"));
  }
  absl::string_view path = request.path;
  if (request.method != "POST" || !absl::ConsumePrefix(&path, kApi)) {
    return ReplyError(
        response, absl::NotFoundError(absl::StrCat(
                      "nothing takes ", request.method, " at ", request.path)));
  }
  const std::string target = request.get_param_value("target");
  const auto json = api_.Post(std::string(path), target);
  SPDLOG_INFO("http {} target={} {}", std::string(path), target,
              json.ok() ? "done" : json.status().ToString());
  if (!json.ok()) return ReplyError(response, json.status());
  Reply(response, 200, kJson, *json);
}

void WebServer::Impl::ReplyAsset(const KnownAsset& known,
                                 const httplib::Request& request,
                                 httplib::Response& response) {
  response.headers.erase("Cache-Control");
  // Kept by the browser and asked about each time: a new program, a new page.
  response.set_header("Cache-Control", "no-cache");
  response.set_header("ETag", known.etag);
  if (request.get_header_value("If-None-Match") == known.etag) {
    response.status = 304;
    return;
  }
  ReplyStatic(response, std::string(known.asset->content_type),
              known.asset->content);
}

bool WebServer::Impl::Send(const std::string& batch, httplib::DataSink& sink) {
  const absl::Duration end = clock_.Monotonic() + kBatchTime;
  for (size_t at = 0; at < batch.size(); at += kSendBytes) {
    const size_t size = std::min(kSendBytes, batch.size() - at);
    if (!sink.is_writable() || !sink.write(batch.data() + at, size) ||
        clock_.Monotonic() > end) {
      return false;
    }
  }
  return true;
}

void WebServer::Impl::ReplyEvents(const httplib::Request& request,
                                  httplib::Response& response) {
  // Counts this stream until it ends, however it ends.
  const std::shared_ptr<void> counted(nullptr,
                                      [this](void*) { streams_.fetch_sub(1); });
  if (streams_.fetch_add(1) >= options_.max_streams) {
    response.set_header("Retry-After", "10");
    return ReplyError(
        response, absl::ResourceExhaustedError(absl::StrCat(
                      options_.max_streams, " pages are open; close some")));
  }
  EventTopic topic{.sweep = request.get_param_value("sweep"),
                   .job = request.get_param_value("job")};
  for (size_t i = 0; i < request.get_param_value_count("model"); ++i) {
    topic.models.push_back(request.get_param_value("model", i));
  }
  const auto stream = std::make_shared<EventStream>(
      feed_, server_.store(), server_.queue(), server_.farm(), clock_,
      instance_, std::move(topic),
      EventCursor::Parse(request.get_header_value("Last-Event-ID")));
  auto first = stream->Next();
  if (!first.ok()) return ReplyError(response, first.status());
  // Send() looks at the time from here on.
  ConnectionGuard::NoteStream();
  // Whose token is withdrawn hears no more.
  const auto may_read = [this,
                         header = request.get_header_value("Authorization")] {
    return options_.tokens == nullptr || MayRead(*options_.tokens, header).ok();
  };
  response.status = 200;
  response.set_chunked_content_provider(
      "text/event-stream",
      [this, stream, counted, may_read, batch = *std::move(first)](
          size_t, httplib::DataSink& sink) mutable {
        if (!may_read() || !Send(batch, sink)) return false;
        if (!sink.is_writable() || stopping()) return false;
        auto next = stream->Next();
        if (!next.ok()) {
          SPDLOG_WARN("an event stream ended: {}", next.status().ToString());
          return false;
        }
        batch = *std::move(next);
        return true;
      });
}

WebServer::WebServer() = default;
WebServer::~WebServer() = default;

absl::StatusOr<std::unique_ptr<WebServer>> WebServer::Start(
    const WebOptions& options, CoordinatorServer& server, Clock& clock) {
  std::unique_ptr<WebServer> web(new WebServer);
  web->impl_ = std::make_unique<Impl>(options, server, clock);
  FOLDFARM_ASSIGN_OR_RETURN(web->endpoint_, web->impl_->Listen());
  web->url_ = absl::StrCat(options.tls.empty() ? "http://" : "https://",
                           web->endpoint_, "/");
  return web;
}

}  // namespace foldfarm
