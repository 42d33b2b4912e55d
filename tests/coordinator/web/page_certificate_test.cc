// The page over TLS, with certificates as deploy/certs makes them.
#include "coordinator/web/page_certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "tests/coordinator/web/tls_peer.h"
#include "tests/coordinator/web/web_fixture.h"
#include "tests/testing/certs.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

class PageCertificateTest : public WebTest {
 protected:
  PageCertificateTest() {
    EXPECT_EQ(MakeCerts(farm_, "localhost,127.0.0.1"), 0);
    EXPECT_EQ(MakeCerts(other_, "localhost,127.0.0.1"), 0);
    web_options_.tls = {farm_ + "/localhost.crt", farm_ + "/localhost.key", ""};
  }

  // Puts the other CA's file in the place of the farm's.
  void Replace(const std::string& name) {
    const std::string to = JoinPath(farm_, name);
    ASSERT_TRUE(
        WriteFileAtomically(to, *ReadFile(JoinPath(other_, name))).ok());
    ASSERT_EQ(chmod(to.c_str(), 0600), 0);
  }

  static int PortOf(const std::string& endpoint) {
    return std::atoi(endpoint.substr(endpoint.rfind(':') + 1).c_str());
  }
  int port() const { return PortOf(web_->endpoint()); }

  // Of someone who trusts the CA in `ca` alone, and shows the certificate `own`
  // of that folder unless it is empty: the status of the page, or 0.
  int Look(const std::string& ca, const std::string& own = "") {
    const std::string file = own.empty() ? "" : JoinPath(ca, own);
    httplib::SSLClient client("127.0.0.1", port(),
                              own.empty() ? "" : file + ".crt",
                              own.empty() ? "" : file + ".key");
    client.set_ca_cert_path((ca + "/ca.crt").c_str());
    const auto result = client.Get("/");
    return result ? result->status : 0;
  }

  const std::string farm_ = JoinPath(directory_, "certs");
  const std::string other_ = JoinPath(directory_, "other");
};

TEST_F(PageCertificateTest, ThePageIsSentOverTlsAlone) {
  StartWeb();
  EXPECT_EQ(web_->url(), absl::StrCat("https://", web_->endpoint(), "/"));
  EXPECT_EQ(Look(farm_), 200);
  EXPECT_EQ(Look(other_), 0);
  const auto plain = Client().Get("/");
  EXPECT_FALSE(plain) << plain->status;
}

TEST_F(PageCertificateTest, EventsComeOverTls) {
  StartWeb();
  RegisterDataset();
  EventReader page(web_->endpoint(), "", {}, "https://");
  ASSERT_TRUE(page.WaitFor("event: hello"));
  Submit("first", 1);
  EXPECT_TRUE(page.WaitFor("\"name\":\"first\"")) << page.text();
}

TEST_F(PageCertificateTest, ARenewedCertificateIsShownWithoutARestart) {
  StartWeb();
  ASSERT_EQ(Look(farm_), 200);
  const std::string former_ca = JoinPath(directory_, "former");
  EXPECT_EQ(MakeCerts(former_ca, "unused"), 0);
  ASSERT_TRUE(
      WriteFileAtomically(former_ca + "/ca.crt", *ReadFile(farm_ + "/ca.crt"))
          .ok());
  Replace("localhost.key");
  // Half of it: what was right is still shown.
  EXPECT_EQ(Look(former_ca), 200);
  Replace("localhost.crt");
  EXPECT_EQ(Look(former_ca), 0);
  EXPECT_EQ(Look(other_), 200);
  // What is none is not taken.
  ASSERT_TRUE(WriteFileAtomically(web_options_.tls.certificate, "no PEM").ok());
  EXPECT_EQ(Look(other_), 200);
  ASSERT_EQ(unlink(web_options_.tls.certificate.c_str()), 0);
  EXPECT_EQ(Look(other_), 200);
}

TEST_F(PageCertificateTest, WithAClientCaOnlyThoseOfItAreLetIn) {
  EXPECT_EQ(MakeCerts(farm_, "anna"), 0);
  EXPECT_EQ(MakeCerts(other_, "eve"), 0);
  web_options_.tls.client_ca = farm_ + "/ca.crt";
  StartWeb();
  EXPECT_EQ(Look(farm_, "anna"), 200);
  EXPECT_EQ(Look(farm_), 0);
  // Trusts the farm and shows a stranger's certificate.
  ASSERT_TRUE(
      WriteFileAtomically(other_ + "/ca.crt", *ReadFile(farm_ + "/ca.crt"))
          .ok());
  EXPECT_EQ(Look(other_, "eve"), 0);
  EXPECT_EQ(Look(farm_, "anna"), 200);
}

TEST_F(PageCertificateTest, WhatIsMendedIsShown) {
  StartWeb();
  Replace("localhost.key");
  ASSERT_EQ(chmod(web_options_.tls.key.c_str(), 0644), 0);
  Replace("localhost.crt");
  // Everybody may read the new key.
  EXPECT_EQ(Look(other_), 0);
  ASSERT_EQ(chmod(web_options_.tls.key.c_str(), 0600), 0);
  EXPECT_EQ(Look(other_), 200);
}

TEST_F(PageCertificateTest, WhoIsSlowOnPurposeIsLetGo) {
  web_options_.request_time = absl::Seconds(2);
  StartWeb();
  const int fd = ConnectTo(port());
  // The head of a handshake of 16 KiB, then a byte of it now and then: never
  // silent for the seconds that the library would bear.
  std::string next = "\x16\x03\x01\x40";
  const bool ended = Until([&] {
    if (send(fd, next.data(), next.size(), MSG_NOSIGNAL) < 0) return true;
    next = std::string(1, '\0');
    pollfd answer = {fd, POLLIN, 0};
    char c = 0;
    return poll(&answer, 1, 50) == 1 && recv(fd, &c, 1, 0) <= 0;
  });
  EXPECT_TRUE(ended);
  close(fd);
  // One that speaks TLS and drips its request.
  TlsPeer peer(ConnectTo(port()));
  ASSERT_TRUE(peer.connected());
  ASSERT_TRUE(peer.Send("GET / HTTP/1.1\r\nX: "));
  EXPECT_TRUE(Until([&] { return !peer.Send("x") || peer.Ended(50); }));
  EXPECT_TRUE(Until([&] { return Look(farm_) == 200; }));
}

TEST_F(PageCertificateTest, WhoSendsHeadersWithoutEndIsLetGo) {
  StartWeb();
  TlsPeer peer(ConnectTo(port()));
  ASSERT_TRUE(peer.connected());
  ASSERT_TRUE(peer.Send("GET / HTTP/1.1\r\n"));
  std::string lines;
  while (lines.size() < 4000) lines += "X: y\r\n";
  // Far fewer than the time that a request may take would let come.
  bool ended = false;
  for (int i = 0; i < 400 && !ended; ++i) {
    ended = !peer.Send(lines) || peer.Ended(10);
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(Look(farm_), 200);
}

TEST_F(PageCertificateTest, TheProgramServesThePageBeyondLoopbackOverTls) {
  const std::string tokens = JoinPath(directory_, "tokens");
  ASSERT_TRUE(
      WriteFileAtomically(tokens, absl::StrCat("read-only board sha256:",
                                               Sha256Hex(kToken), "\n"))
          .ok());
  ASSERT_EQ(chmod(tokens.c_str(), 0600), 0);
  const std::string farm = JoinPath(directory_, "program");
  SubprocessOptions options;
  options.argv = {absl::StrCat(FOLDFARM_BIN_DIR, "/foldfarm-coordinator"),
                  "--dir",
                  farm,
                  "--listen",
                  "127.0.0.1:0",
                  "--http",
                  "0.0.0.0:0",
                  "--log-level",
                  "error"};
  for (const auto& [flag, value] :
       {std::pair("--tls-cert", web_options_.tls.certificate),
        std::pair("--tls-key", web_options_.tls.key),
        std::pair("--tokens", tokens)}) {
    options.argv.push_back(flag);
    options.argv.push_back(value);
  }
  const auto child = Subprocess::Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  const std::string address = JoinPath(farm, "http_endpoint");
  ASSERT_TRUE(Until([&] { return ReadFile(address).ok(); }));
  httplib::SSLClient client("127.0.0.1", PortOf(*ReadFile(address)));
  client.set_ca_cert_path((farm_ + "/ca.crt").c_str());
  const auto stranger = client.Get("/");
  ASSERT_TRUE(stranger) << httplib::to_string(stranger.error());
  EXPECT_EQ(stranger->status, 401);
  const auto page = client.Get("/", WithToken());
  ASSERT_TRUE(page) << httplib::to_string(page.error());
  EXPECT_EQ(page->status, 200);
}

TEST_F(PageCertificateTest, WhatIsWrongIsSaidAtTheStart) {
  const auto start = [&] {
    return std::string(WebServer::Start(web_options_, *server_, Clock::Real())
                           .status()
                           .message());
  };
  const CertificateFiles right = web_options_.tls;
  web_options_.tls.key = other_ + "/localhost.key";
  EXPECT_THAT(start(), HasSubstr("is not the key of the certificate"));
  web_options_.tls = right;
  web_options_.tls.client_ca = right.key;
  EXPECT_THAT(start(), HasSubstr("holds no certificate"));
  web_options_.tls = right;
  web_options_.tls.certificate = farm_ + "/none.crt";
  EXPECT_THAT(start(), HasSubstr("none.crt"));
  // A key that OpenSSL finds too weak would fail every handshake.
  web_options_.tls = {farm_ + "/weak.crt", farm_ + "/weak.key", ""};
  SubprocessOptions weak;
  weak.argv = {"openssl",  "req",
               "-x509",    "-newkey",
               "rsa:1024", "-nodes",
               "-subj",    "/CN=weak",
               "-out",     web_options_.tls.certificate,
               "-keyout",  web_options_.tls.key};
  ASSERT_EQ((*Subprocess::Spawn(weak))->Wait().exit_status, 0);
  ASSERT_EQ(chmod(web_options_.tls.key.c_str(), 0600), 0);
  EXPECT_THAT(start(), HasSubstr("key too small"));
}

}  // namespace
}  // namespace foldfarm
