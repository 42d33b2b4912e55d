#include "coordinator/web/connection_guard.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <functional>
#include <thread>

#include "common/base/files.h"
#include "common/base/ids.h"
#include "coordinator/web/page_certificate.h"
#include "tests/coordinator/web/tls_peer.h"
#include "tests/testing/certs.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

class ConnectionGuardTest : public ::testing::Test {
 protected:
  ConnectionGuardTest() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(MakeCerts(directory_, "head"), 0);
    auto certificate = PageCertificate::Open(
        {directory_ + "/head.crt", directory_ + "/head.key", ""},
        Clock::Real());
    EXPECT_TRUE(certificate.ok()) << certificate.status();
    certificate_ = *std::move(certificate);
    certificate_->Apply(*context_);
    guard_.Watch(*context_);
  }
  ~ConnectionGuardTest() override {
    RemoveRecursively(directory_).IgnoreError();
  }

  // A server's side of a connection, which a thread of its own serves.
  class Served {
   public:
    Served(SSL_CTX& context, std::function<void(SSL*)> serve) {
      int ends[2];
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
      thread_ = std::thread([&context, serve = std::move(serve), ends] {
        SSL* const ssl = SSL_new(&context);
        SSL_set_fd(ssl, ends[0]);
        if (SSL_accept(ssl) == 1) serve(ssl);
        SSL_free(ssl);
        close(ends[0]);
      });
      peer_ = std::make_unique<TlsPeer>(ends[1]);
      EXPECT_TRUE(peer_->connected());
    }
    ~Served() {
      peer_.reset();
      thread_.join();
    }
    TlsPeer& peer() { return *peer_; }

   private:
    std::thread thread_;
    std::unique_ptr<TlsPeer> peer_;
  };

  // Lets so much time pass, more than a request may take, and the guard look.
  void PassTime(absl::Duration time) {
    Served waiting(*context_, [](SSL* ssl) {
      char c;
      SSL_read(ssl, &c, 1);
    });
    clock_.Advance(time);
    bool ended = false;
    for (int i = 0; i < 3000 && !ended; ++i) {
      ended = waiting.peer().Ended(10);
      clock_.Advance(absl::Nanoseconds(1));  // It may not have heard.
    }
    EXPECT_TRUE(ended);
  }

  FakeClock clock_;
  const std::string directory_ = *MakeTemporaryDirectory("foldfarm-guard-");
  std::unique_ptr<PageCertificate> certificate_;
  ConnectionGuard guard_{absl::Seconds(20), absl::Seconds(60), clock_};
  const Context context_{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
};

// Answers each message with itself, after what the message's first letter says.
void Echo(SSL* ssl) {
  char bytes[64];
  int size = 0;
  while ((size = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
    if (bytes[0] == 'q') ConnectionGuard::NoteRequest();
    if (bytes[0] == 's') ConnectionGuard::NoteStream();
    if (bytes[0] == 'r') ConnectionGuard::NoteResponse();
    SSL_write(ssl, bytes, size);
  }
}

TEST_F(ConnectionGuardTest, AStreamMayLastAndWhatComesAfterItMayNot) {
  Served stream(*context_, Echo);
  ASSERT_TRUE(stream.peer().Send("s"));
  ASSERT_EQ(stream.peer().Read(30'000), "s");
  PassTime(absl::Hours(1));
  ASSERT_TRUE(stream.peer().Send("still"));
  EXPECT_EQ(stream.peer().Read(30'000), "still");
  ASSERT_TRUE(stream.peer().Send("r"));
  ASSERT_EQ(stream.peer().Read(30'000), "r");
  PassTime(absl::Seconds(21));
  EXPECT_TRUE(stream.peer().Ended(30'000));
}

TEST_F(ConnectionGuardTest, AnAnswerHasMoreTimeThanARequest) {
  Served answer(*context_, Echo);
  ASSERT_TRUE(answer.peer().Send("q"));
  ASSERT_EQ(answer.peer().Read(30'000), "q");
  PassTime(absl::Seconds(25));
  PassTime(absl::Seconds(25));
  ASSERT_TRUE(answer.peer().Send("x"));
  EXPECT_EQ(answer.peer().Read(30'000), "x");
  PassTime(absl::Seconds(25));
  EXPECT_TRUE(answer.peer().Ended(30'000));
}

TEST_F(ConnectionGuardTest, OtherThreadsHaveNothingToNote) {
  ConnectionGuard::NoteRequest();
  ConnectionGuard::NoteStream();
  ConnectionGuard::NoteResponse();
}

}  // namespace
}  // namespace foldfarm
