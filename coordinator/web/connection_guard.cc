#include "coordinator/web/connection_guard.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/log.h"

namespace foldfarm {
namespace {

int GuardIndex() {
  static const int index =
      SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Of the other end, for people.
std::string PeerOf(int socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  char host[NI_MAXHOST] = "";
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host,
                  sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) {
    return "somebody";
  }
  return host;
}

}  // namespace

struct ConnectionGuard::Connection {
  ConnectionGuard& guard;
  const int socket;
  absl::Duration until;  // Guarded by guard.mu_.
  size_t received = 0;   // Its own thread's.
};

ConnectionGuard::ConnectionGuard(absl::Duration request_time,
                                 absl::Duration response_time, Clock& clock)
    : request_time_(request_time),
      response_time_(response_time),
      clock_(clock),
      thread_([this] { Loop(); }) {}

ConnectionGuard::~ConnectionGuard() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    wake_.SignalAll();
  }
  thread_.join();
}

ConnectionGuard::Connection*& ConnectionGuard::Current() {
  thread_local Connection* connection = nullptr;
  return connection;
}

void ConnectionGuard::Watch(SSL_CTX& context) {
  SSL_CTX_set_ex_data(&context, GuardIndex(), this);
  SSL_CTX_set_info_callback(&context, &ConnectionGuard::OnHandshake);
}

void ConnectionGuard::OnHandshake(const SSL* ssl, int where, int) {
  // Before the first byte is read.
  if ((where & SSL_CB_HANDSHAKE_START) == 0 || Current() != nullptr) return;
  static const int index =
      SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &OnFree);
  auto* guard = static_cast<ConnectionGuard*>(
      SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), GuardIndex()));
  auto* connection =
      new Connection{*guard, SSL_get_fd(ssl), absl::InfiniteDuration()};
  // Its own to change: OpenSSL hands it out const to all callbacks of this
  // kind.
  SSL_set_ex_data(const_cast<SSL*>(ssl), index, connection);
  BIO_set_callback_arg(SSL_get_rbio(ssl), reinterpret_cast<char*>(connection));
  BIO_set_callback_ex(SSL_get_rbio(ssl), &OnBytes);
  Current() = connection;
  {
    absl::MutexLock lock(&guard->mu_);
    guard->connections_.insert(connection);
  }
  guard->Extend(*connection, guard->request_time_);
}

long ConnectionGuard::OnBytes(BIO* bio, int operation, const char*, size_t, int,
                              long, int result, size_t* done) {
  if (operation != (BIO_CB_READ | BIO_CB_RETURN) || result <= 0) return result;
  auto* connection = reinterpret_cast<Connection*>(BIO_get_callback_arg(bio));
  connection->received += *done;
  if (connection->received <= kMaxRequestBytes) return result;
  SPDLOG_WARN("the page's connection to {} sends too much and is ended",
              PeerOf(connection->socket));
  return -1;
}

// The library frees a connection's TLS before it closes its socket: a socket
// that is in connections_ is never another one's.
void ConnectionGuard::OnFree(void*, void* pointer, CRYPTO_EX_DATA*, int, long,
                             void*) {
  auto* connection = static_cast<Connection*>(pointer);
  // Of all that use TLS in this process: another's, or no handshake began.
  if (connection == nullptr) return;
  if (Current() == connection) Current() = nullptr;
  {
    absl::MutexLock lock(&connection->guard.mu_);
    connection->guard.connections_.erase(connection);
  }
  delete connection;
}

void ConnectionGuard::NoteRequest() {
  if (Connection* const c = Current()) {
    c->guard.Extend(*c, c->guard.response_time_);
  }
}

void ConnectionGuard::NoteStream() {
  if (Connection* const c = Current()) {
    c->guard.Extend(*c, absl::InfiniteDuration());
  }
}

void ConnectionGuard::NoteResponse() {
  if (Connection* const c = Current()) {
    c->received = 0;
    c->guard.Extend(*c, c->guard.request_time_);
  }
}

void ConnectionGuard::Extend(Connection& connection, absl::Duration time) {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mu_);
  connection.until = now + time;
}

void ConnectionGuard::Loop() {
  while (true) {
    std::vector<std::string> ended;
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return;
      clock_.WaitFor(wake_, mu_, std::min(request_time_, response_time_) / 4);
      const absl::Duration now = clock_.Monotonic();
      for (Connection* connection : connections_) {
        if (now < connection->until) continue;
        connection->until = absl::InfiniteDuration();
        ended.push_back(PeerOf(connection->socket));
        // Whoever waits for its next byte gets the end.
        shutdown(connection->socket, SHUT_RDWR);
      }
    }
    for (const std::string& peer : ended) {
      SPDLOG_WARN("the page's connection to {} is too slow and is ended", peer);
    }
  }
}

}  // namespace foldfarm
