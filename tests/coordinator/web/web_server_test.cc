#include "coordinator/web/web_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <regex>
#include <set>

#include "common/base/json_text.h"
#include "coordinator/web/http_access.h"
#include "coordinator/web/json.h"
#include "tests/coordinator/web/tls_peer.h"
#include "tests/coordinator/web/web_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

TEST_F(WebTest, ThePageRunsNoScriptButItsOwn) {
  const httplib::Response page = Get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.get_header_value("Content-Type"), HasSubstr("text/html"));
  const std::string policy = page.get_header_value("Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("script-src 'self'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_EQ(page.get_header_value("X-Content-Type-Options"), "nosniff");
  EXPECT_THAT(page.body, HasSubstr("<title>foldfarm</title>"));
  // Errors and data have it, too.
  EXPECT_EQ(Get("/nothing").get_header_value("Content-Security-Policy"),
            policy);
  EXPECT_EQ(Get("/api/v1/sweeps").get_header_value("Cache-Control"),
            "no-store");
}

TEST_F(WebTest, EveryFileThatThePageNamesIsServed) {
  std::set<std::string> seen;
  std::vector<std::string> todo = {"/"};
  const std::regex named(
      R"re((?:src|href)="(/[a-z_.]+)"|from "\.(/[a-z_]+\.js)")re");
  while (!todo.empty()) {
    const std::string path = todo.back();
    todo.pop_back();
    if (!seen.insert(path).second) continue;
    const httplib::Response file = Get(path);
    EXPECT_EQ(file.status, 200) << path;
    // A minified library has no such names.
    if (path == "/chart.min.js") continue;
    for (std::sregex_iterator it(file.body.begin(), file.body.end(), named),
         end;
         it != end; ++it) {
      todo.push_back((*it)[1].matched ? (*it)[1].str() : (*it)[2].str());
    }
  }
  for (const char* path : {"/app.js", "/style.css", "/chart.min.js",
                           "/icon.svg", "/ensemble_view.js"}) {
    EXPECT_EQ(seen.count(path), 1u) << path;
  }
}

TEST_F(WebTest, AFileThatTheBrowserHasIsNotSentAgain) {
  const std::string etag = Get("/app.js").get_header_value("ETag");
  ASSERT_FALSE(etag.empty());
  const httplib::Response again = Get("/app.js", {{"If-None-Match", etag}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(Get("/app.js", {{"If-None-Match", "\"other\""}}).status, 200);
}

TEST_F(WebTest, AnswersAreThoseOfTheFarmService) {
  RegisterDataset();
  Submit("first", 2);
  RunAll(Register("w1"), 0.25f);
  v1::GetEnsembleRequest ensemble;
  ensemble.set_sweep("s1");
  EXPECT_EQ(Get("/api/v1/sweeps/s1/ensemble").body,
            *MessageToJson(*Ask(&Farm::GetEnsemble, ensemble)));
  // The second answer is a remembered one.
  EXPECT_EQ(Get("/api/v1/sweeps/s1/ensemble").body,
            *MessageToJson(*Ask(&Farm::GetEnsemble, ensemble)));
  EXPECT_EQ(Get("/api/v1/sweeps").body,
            *MessageToJson(*Ask(&Farm::ListSweeps, v1::ListSweepsRequest())));
  v1::ListJobsRequest jobs;
  jobs.set_sweep("s1");
  EXPECT_EQ(Get("/api/v1/sweeps/s1/jobs").body,
            *MessageToJson(*Ask(&Farm::ListJobs, jobs)));
  v1::GetJobRequest job;
  job.set_job("s1/model1/0");
  EXPECT_EQ(Get("/api/v1/jobs/s1/model1/0").body,
            *MessageToJson(*Ask(&Farm::GetJob, job)));
  EXPECT_EQ(GetJson("/api/v1/jobs/s1/model1/0/metrics")["result"]["log_loss"],
            0.25);
  EXPECT_EQ(GetJson("/api/v1/workers")["workers"][0]["name"], "w1");
  EXPECT_EQ(GetJson("/api/v1/sweeps/s1")["spec"]["models"].size(), 2u);
}

TEST_F(WebTest, AnEnsembleIsReadAgainWhenAModelBecameComplete) {
  RegisterDataset();
  Submit("first", 2);
  EXPECT_EQ(GetJson("/api/v1/sweeps/s1/ensemble")["models"].size(), 0u);
  RunAll(Register("w1"), 0.25f);
  EXPECT_EQ(GetJson("/api/v1/sweeps/s1/ensemble")["models"].size(), 2u);
}

TEST_F(WebTest, WhatIsNotThereIsExplained) {
  const httplib::Response gone = Get("/api/v1/sweeps/s9");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(ParseJson(gone.body)["error"]["code"], "NOT_FOUND");
  EXPECT_THAT(gone.body, HasSubstr("no sweep"));
  EXPECT_EQ(Get("/api/v1/jobs/s1/x").status, 404);
  EXPECT_EQ(Get("/api/v1/jobs/s1/x/one").status, 400);
  EXPECT_EQ(Get("/api/v1/").status, 404);
  EXPECT_EQ(Get("/api/v1/sweeps/../../etc/passwd").status, 404);
  EXPECT_EQ(Get("/api/v1/events?sweep=s9").status, 404);
}

TEST_F(WebTest, ANameThatIsNotThisMachinesReadsNothing) {
  for (const char* host :
       {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7078",
        "", "evil.example:127.0.0.1"}) {
    const httplib::Response refused = Get("/api/v1/sweeps", {{"Host", host}});
    EXPECT_EQ(refused.status, 403) << host;
    EXPECT_THAT(refused.body, HasSubstr("Host header"));
    EXPECT_EQ(Client()
                  .Post("/api/v1/session",
                        {{"Host", host},
                         {"Authorization", std::string("Bearer ") + kToken}},
                        "", "text/plain")
                  ->status,
              403);
  }
  for (const char* host : {"localhost", "LOCALHOST:80", "127.0.0.1:1",
                           "127.9.9.9", "[::1]:7078"}) {
    EXPECT_EQ(Get("/api/v1/sweeps", {{"Host", host}}).status, 200) << host;
  }
}

TEST_F(WebTest, ChangesNeedTheToken) {
  RegisterDataset();
  Submit("first", 1);
  httplib::Client client = Client();
  const char* cancel = "/api/v1/cancel?target=s1/model0/1";
  for (const auto& headers :
       {httplib::Headers(), WithToken("another token of letters"),
        WithToken(""), httplib::Headers{{"Authorization", kToken}},
        httplib::Headers{{"Cookie", kToken}}}) {
    const auto refused = client.Post(cancel, headers, "", "text/plain");
    EXPECT_EQ(refused->status, 403);
    EXPECT_THAT(refused->body, HasSubstr("--http-token-file"));
  }
  EXPECT_EQ(client.Put("/", "", "text/plain")->status, 403);
  EXPECT_EQ(client.Delete("/api/v1/sweeps/s1")->status, 403);
  EXPECT_EQ(client.Patch("/api/v1/sweeps/s1", "", "text/plain")->status, 403);
  EXPECT_EQ(client.Options("/api/v1/cancel")->status, 403);
  EXPECT_EQ(GetSweep("s1").pending(), 2);

  EXPECT_EQ(
      client.Post("/api/v1/session", WithToken(), "", "text/plain")->status,
      200);
  const auto done = client.Post(cancel, WithToken(), "", "text/plain");
  EXPECT_EQ(done->status, 200) << done->body;
  EXPECT_EQ(ParseJson(done->body)["jobs"], 1);
  EXPECT_EQ(GetSweep("s1").cancelled(), 1);
  EXPECT_EQ(
      client.Post("/api/v1/retry?target=s1", WithToken(), "", "text/plain")
          ->status,
      200);
  EXPECT_EQ(GetSweep("s1").pending(), 2);
  const auto nothing =
      client.Post("/api/v1/cancel", WithToken(), "", "text/plain");
  EXPECT_EQ(nothing->status, 400);
  EXPECT_THAT(nothing->body, HasSubstr("target"));
  EXPECT_EQ(client.Put("/api/v1/cancel", WithToken(), "", "text/plain")->status,
            404);
}

TEST_F(WebTest, WithoutATokenNothingCanBeChanged) {
  web_options_.token = "";
  StartWeb();
  for (const auto& headers : {WithToken(""), httplib::Headers()}) {
    const auto refused =
        Client().Post("/api/v1/session", headers, "", "text/plain");
    EXPECT_EQ(refused->status, 403);
    EXPECT_THAT(refused->body, HasSubstr("read-only"));
  }
}

TEST_F(WebTest, LongAndOddRequestsAreAnswered) {
  const std::string path = "/" + std::string(7000, 'x');
  EXPECT_EQ(Get(path).status, 404);
  EXPECT_EQ(Client().Post(path.c_str(), "", "text/plain")->status, 403);
  EXPECT_EQ(Client().Post("/a%0Ab", "", "text/plain")->status, 403);
  EXPECT_EQ(Client().Head("/")->status, 200);
  EXPECT_EQ(Get("/healthz").status, 200);
}

// Nobody is made to keep, unpack or search what a stranger sends.
TEST_F(WebTest, ABodyIsRefusedBeforeItIsRead) {
  const std::string port =
      web_->endpoint().substr(web_->endpoint().rfind(':') + 1);
  for (const char* header :
       {"Transfer-Encoding: chunked", "Content-Length: 65000",
        "Content-Length: 1\r\nContent-Encoding: br",
        "Content-Length: 99\r\nContent-Type: multipart/form-data; "
        "boundary=x"}) {
    for (const char* method : {"POST", "PUT", "GET"}) {
      const int fd = ConnectTo(std::atoi(port.c_str()));
      const std::string request = absl::StrCat(
          method, " /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\n", header,
          "\r\n\r\n");
      ASSERT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(request.size()));
      char answer[256] = "";
      ASSERT_GT(recv(fd, answer, sizeof(answer) - 1, 0), 0);
      EXPECT_THAT(answer, HasSubstr("HTTP/1.1 413")) << request;
      close(fd);
    }
  }
  EXPECT_EQ(
      Client().Post("/api/v1/session", WithToken(), "x", "text/plain")->status,
      413);
  EXPECT_EQ(Get("/healthz").status, 200);
}

TEST_F(WebTest, HealthSaysWhatIsWrong) {
  EXPECT_EQ(Get("/healthz").status, 200);
  EXPECT_EQ(Get("/healthz").body, "ok\n");
  // A folder where the file should be: the probe cannot be written.
  StartWeb();
  ASSERT_TRUE(RemoveRecursively(JoinPath(directory_, "healthz")).ok());
  ASSERT_TRUE(MakeDirectories(JoinPath(directory_, "healthz/x")).ok());
  const httplib::Response sick = Get("/healthz");
  EXPECT_EQ(sick.status, 503);
  EXPECT_THAT(sick.body, HasSubstr("cannot be written"));
}

TEST_F(WebTest, WhoAsksForAPartGetsTheWhole) {
  const std::string missing = Get("/missing").body;
  for (const char* range :
       {"bytes=0-0", "bytes=1-200000", "bytes=100-200000", "bytes=-1",
        "bytes=0-0,100-300", "bytes=1000000000000-1000000000001"}) {
    SCOPED_TRACE(range);
    const httplib::Response healthy = Get("/healthz", {{"Range", range}});
    EXPECT_EQ(healthy.status, 200);
    EXPECT_EQ(healthy.body, "ok\n");
    const httplib::Response refused = Get("/missing", {{"Range", range}});
    EXPECT_EQ(refused.status, 404);
    EXPECT_EQ(refused.body, missing);
  }
}

TEST_F(WebTest, TwoPagesDoNotShareAPort) {
  WebOptions second = web_options_;
  second.listen = web_->endpoint();
  const auto refused = WebServer::Start(second, *server_, Clock::Real());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("taken"));
}

TEST_F(WebTest, AReaderThatNeverReadsHoldsNothingUp) {
  RegisterDataset();
  Submit("first", 400);
  const auto endpoint = *ParseEndpoint(web_->endpoint());
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int small = 4096;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(endpoint.second));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  const std::string request =
      "GET /api/v1/events?sweep=s1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ASSERT_EQ(write(fd, request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  char byte = 0;
  ASSERT_EQ(read(fd, &byte, 1), 1);  // It began.
  EXPECT_EQ(Get("/api/v1/sweeps").status, 200);
  Clock& clock = Clock::Real();
  const absl::Duration begin = clock.Monotonic();
  web_.reset();
  EXPECT_LT(clock.Monotonic() - begin, absl::Seconds(20));
  close(fd);
}

TEST_F(WebTest, ATokenFileIsChecked) {
  const std::string path = JoinPath(directory_, "token");
  ASSERT_TRUE(WriteFileAtomically(path, "  0123456789abcdef\n").ok());
  EXPECT_EQ(*ReadHttpToken(path), "0123456789abcdef");
  for (const char* bad : {"", "short", "one with a space in it"}) {
    ASSERT_TRUE(WriteFileAtomically(path, bad).ok());
    const auto token = ReadHttpToken(path);
    EXPECT_EQ(token.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(token.status().message()),
                HasSubstr("foldfarm token new"));
  }
  EXPECT_EQ(ReadHttpToken(path + "x").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace foldfarm
