// A coordinator and its page in this process, asked over real HTTP.
#ifndef FOLDFARM_TESTS_COORDINATOR_WEB_WEB_FIXTURE_H_
#define FOLDFARM_TESTS_COORDINATOR_WEB_WEB_FIXTURE_H_

#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/json_text.h"
#include "coordinator/web/web_server.h"
#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {

inline constexpr char kToken[] = "a token of many letters";

class WebTest : public ServiceTest {
 protected:
  WebTest() {
    web_options_.listen = "127.0.0.1:0";
    web_options_.directory = directory_;
    web_options_.token = kToken;
    StartWeb();
  }

  void StartWeb() {
    web_.reset();
    auto web = WebServer::Start(web_options_, *server_, Clock::Real());
    ASSERT_TRUE(web.ok()) << web.status();
    web_ = *std::move(web);
  }

  httplib::Client Client() const {
    httplib::Client client("http://" + web_->endpoint());
    client.set_read_timeout(30);
    return client;
  }

  httplib::Response Get(const std::string& path,
                        const httplib::Headers& headers = {}) const {
    auto result = Client().Get(path.c_str(), headers);
    EXPECT_TRUE(result) << path << ": " << httplib::to_string(result.error());
    return result ? *result : httplib::Response();
  }

  nlohmann::json GetJson(const std::string& path) const {
    return ParseJson(Get(path).body);
  }

  static httplib::Headers WithToken(const std::string& token = kToken) {
    return {{"Authorization", "Bearer " + token}};
  }

  WebOptions web_options_;
  std::unique_ptr<WebServer> web_;
};

// Reads an event stream in the background; over TLS whoever shows what.
class EventReader {
 public:
  EventReader(const std::string& endpoint, const std::string& query,
              httplib::Headers headers = {},
              const std::string& scheme = "http://")
      : client_(scheme + endpoint) {
    client_.enable_server_certificate_verification(false);
    client_.set_read_timeout(60);
    thread_ = std::thread([this, query, headers = std::move(headers)] {
      const auto result =
          client_.Get(("/api/v1/events" + query).c_str(), headers,
                      [this](const httplib::Response& response) {
                        absl::MutexLock lock(&mu_);
                        status_ = response.status;
                        return true;
                      },
                      [this](const char* data, size_t size) {
                        absl::MutexLock lock(&mu_);
                        text_.append(data, size);
                        return !closed_;
                      });
      absl::MutexLock lock(&mu_);
      ended_ = true;
    });
  }
  ~EventReader() {
    Close();
    thread_.join();
  }

  void Close() {
    {
      absl::MutexLock lock(&mu_);
      closed_ = true;
    }
    client_.stop();
  }

  // Waits until `wanted` came; false when the stream ended or 30 s passed.
  bool WaitFor(const std::string& wanted) {
    absl::MutexLock lock(&mu_);
    const auto done = [&] {
      mu_.AssertHeld();
      return ended_ || absl::StrContains(text_, wanted);
    };
    mu_.AwaitWithTimeout(absl::Condition(&done), absl::Seconds(30));
    return absl::StrContains(text_, wanted);
  }

  bool WaitForEnd() {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&ended_), absl::Seconds(30));
  }

  int status() {
    absl::MutexLock lock(&mu_);
    return status_;
  }
  std::string text() {
    absl::MutexLock lock(&mu_);
    return text_;
  }
  // The id of the last event.
  std::string LastId() {
    const std::string all = text();
    const size_t at = all.rfind("\nid: ");
    if (at == std::string::npos) return "";
    return all.substr(at + 5, all.find('\n', at + 5) - at - 5);
  }

 private:
  httplib::Client client_;
  absl::Mutex mu_;
  std::string text_ ABSL_GUARDED_BY(mu_);
  int status_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_WEB_WEB_FIXTURE_H_
