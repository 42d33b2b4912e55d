#include "coordinator/web/http_reply.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "coordinator/web/connection_guard.h"
#include "coordinator/web/json.h"

namespace foldfarm {
namespace {

// Each has WebOptions::response_time.
constexpr size_t kPieceBytes = 256 << 10;

// As a stream of known length: the library would compress a plain body, which
// costs more than it saves between two ends so near. `owner` keeps `body`.
void Provide(httplib::Response& response, const std::string& type,
             absl::string_view body, std::shared_ptr<const std::string> owner) {
  response.set_content_provider(
      body.size(), type,
      [body, owner = std::move(owner)](size_t offset, size_t length,
                                       httplib::DataSink& sink) {
        // Much of it over a slow line is no reason to be let go.
        ConnectionGuard::NoteRequest();
        // The library hands on what a caller's Range says, unchecked.
        if (offset >= body.size()) return false;
        return sink.write(
            body.data() + offset,
            std::min({length, kPieceBytes, body.size() - offset}));
      });
}

}  // namespace

const httplib::Headers& CommonHeaders() {
  static const auto& headers = *new httplib::Headers{
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
       "'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
       "frame-ancestors 'none'"},
      {"X-Content-Type-Options", "nosniff"},
      {"X-Frame-Options", "DENY"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"}};
  return headers;
}

bool HasBody(const httplib::Request& request) {
  const std::string length = request.get_header_value("Content-Length");
  return request.has_header("Transfer-Encoding") ||
         !(length.empty() || length == "0");
}

void Reply(httplib::Response& response, int status, const char* type,
           std::string body) {
  response.status = status;
  auto text = std::make_shared<const std::string>(std::move(body));
  const absl::string_view view = *text;
  Provide(response, type, view, std::move(text));
}

void ReplyStatic(httplib::Response& response, const std::string& type,
                 absl::string_view body) {
  response.status = 200;
  Provide(response, type, body, nullptr);
}

void ReplyError(httplib::Response& response, const absl::Status& status) {
  Reply(response, ToHttpStatus(status.code()), kJson, ErrorToJson(status));
}

}  // namespace foldfarm
