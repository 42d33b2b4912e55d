// A client of TLS that a test leads step by step.
#ifndef FOLDFARM_TESTS_COORDINATOR_WEB_TLS_PEER_H_
#define FOLDFARM_TESTS_COORDINATOR_WEB_TLS_PEER_H_

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

namespace foldfarm {

// A connection to a port of 127.0.0.1; the caller closes it.
inline int ConnectTo(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  return fd;
}

// The client's side of a connection; believes everybody.
class TlsPeer {
 public:
  // Owns `fd` and shakes hands over it.
  explicit TlsPeer(int fd)
      : fd_(fd),
        context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
        ssl_(SSL_new(context_.get()), SSL_free) {
    SSL_set_fd(ssl_.get(), fd_);
    // A message that is not for the caller is no reason to wait for one that
    // is.
    SSL_clear_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);
    connected_ = SSL_connect(ssl_.get()) == 1;
  }
  ~TlsPeer() {
    ssl_.reset();
    close(fd_);
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  bool connected() const { return connected_; }
  bool Send(const std::string& text) {
    return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) >
           0;
  }
  // What has come within `milliseconds`; "" for nothing and for the end.
  std::string Read(int milliseconds) {
    if (!Comes(milliseconds)) return "";
    char bytes[4096];
    const int size = SSL_read(ssl_.get(), bytes, sizeof(bytes));
    if (size > 0) return std::string(bytes, static_cast<size_t>(size));
    ended_ = ended_ || SSL_get_error(ssl_.get(), size) != SSL_ERROR_WANT_READ;
    return "";
  }
  // Whether the other side hung up within `milliseconds`.
  bool Ended(int milliseconds) {
    Read(milliseconds);
    return ended_;
  }

 private:
  bool Comes(int milliseconds) const {
    pollfd socket = {fd_, POLLIN, 0};
    return SSL_pending(ssl_.get()) > 0 || poll(&socket, 1, milliseconds) == 1;
  }

  const int fd_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool connected_ = false;
  bool ended_ = false;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_WEB_TLS_PEER_H_
