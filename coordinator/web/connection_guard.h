// Ends connections of TLS that are held on purpose. The library looks only at
// the time between two bytes, and takes as many headers as come.
//
// A connection has a deadline from its handshake on, and a new one with each
// step; one thread looks at all of them, four times in the shorter time. What
// it sends until its request is answered is at most kMaxRequestBytes.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_WEB_CONNECTION_GUARD_H_
#define FOLDFARM_COORDINATOR_WEB_CONNECTION_GUARD_H_

#include <openssl/ssl.h>

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace foldfarm {

class ConnectionGuard {
 public:
  // Of a handshake and a request without a body: far more than a browser sends.
  static constexpr size_t kMaxRequestBytes = 64 << 10;

  // What a handshake and a request may take, together, and a response.
  // `clock` is borrowed.
  ConnectionGuard(absl::Duration request_time, absl::Duration response_time,
                  Clock& clock);
  // REQUIRES: no connection is left.
  ~ConnectionGuard();
  ConnectionGuard(const ConnectionGuard&) = delete;
  ConnectionGuard& operator=(const ConnectionGuard&) = delete;

  // From now on connections of `context` are guarded. It has no other guard.
  // REQUIRES: the process ignores SIGPIPE; OpenSSL says goodbye to everyone.
  void Watch(SSL_CTX& context);

  // Of the connection that the calling thread serves, if it is guarded:
  // its request has come whole,
  static void NoteRequest();
  // and is answered for as long as it takes,
  static void NoteStream();
  // or has been answered, and the next may come.
  static void NoteResponse();

 private:
  struct Connection;

  // Of the calling thread, which serves it from its handshake to its end.
  static Connection*& Current();
  static void OnHandshake(const SSL* ssl, int where, int value);
  static long OnBytes(BIO* bio, int operation, const char* bytes, size_t size,
                      int option, long number, int result, size_t* done);
  static void OnFree(void* parent, void* connection, CRYPTO_EX_DATA* data,
                     int index, long number, void* pointer);
  void Extend(Connection& connection, absl::Duration time);
  void Loop();

  const absl::Duration request_time_;
  const absl::Duration response_time_;
  Clock& clock_;
  absl::Mutex mu_;
  absl::CondVar wake_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  // Open ones: each leaves before its socket is closed.
  absl::flat_hash_set<Connection*> connections_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_CONNECTION_GUARD_H_
