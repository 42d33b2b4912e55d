// Tells the thread sanitizer what Abseil's locks order. Debian's Abseil is
// built without it, so that every field under a mutex would look like a race.
// The linker puts these functions (--wrap) around what our code calls.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

using absl::CondVar;
using absl::Duration;
using absl::Mutex;
using absl::Notification;

// Abseil's inline namespace is Debian's version of it; see the symbols that
// common/tsan.cmake names.
#define WRAPPED(name) __wrap_##name
#define REAL(name) __real_##name

#define WRAP_LOCK(name)               \
  void REAL(name)(Mutex * mutex);     \
  void WRAPPED(name)(Mutex * mutex) { \
    REAL(name)(mutex);                \
    __tsan_acquire(mutex);            \
  }
#define WRAP_UNLOCK(name)             \
  void REAL(name)(Mutex * mutex);     \
  void WRAPPED(name)(Mutex * mutex) { \
    __tsan_release(mutex);            \
    REAL(name)(mutex);                \
  }

extern "C" {

WRAP_LOCK(_ZN4absl7debian35Mutex4LockEv)
WRAP_LOCK(_ZN4absl7debian35Mutex10ReaderLockEv)
WRAP_UNLOCK(_ZN4absl7debian35Mutex6UnlockEv)
WRAP_UNLOCK(_ZN4absl7debian35Mutex12ReaderUnlockEv)

bool REAL(_ZN4absl7debian35Mutex7TryLockEv)(Mutex* mutex);
bool WRAPPED(_ZN4absl7debian35Mutex7TryLockEv)(Mutex* mutex) {
  const bool locked = REAL(_ZN4absl7debian35Mutex7TryLockEv)(mutex);
  if (locked) __tsan_acquire(mutex);
  return locked;
}

void REAL(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(CondVar* condition,
                                                      Mutex* mutex);
void WRAPPED(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(CondVar* condition,
                                                         Mutex* mutex) {
  __tsan_release(mutex);
  REAL(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(condition, mutex);
  __tsan_acquire(mutex);
}

bool REAL(_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
    CondVar* condition, Mutex* mutex, Duration timeout);
bool WRAPPED(
    _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
    CondVar* condition, Mutex* mutex, Duration timeout) {
  __tsan_release(mutex);
  const bool timed_out = REAL(
      _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
      condition, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

void REAL(_ZN4absl7debian312Notification6NotifyEv)(Notification* notification);
void WRAPPED(_ZN4absl7debian312Notification6NotifyEv)(
    Notification* notification) {
  // HasBeenNotified() reads the flag behind the mutex by itself.
  __tsan_release(reinterpret_cast<char*>(notification) + sizeof(Mutex));
  __tsan_release(notification);
  REAL(_ZN4absl7debian312Notification6NotifyEv)(notification);
}

void REAL(_ZNK4absl7debian312Notification19WaitForNotificationEv)(
    const Notification* notification);
void WRAPPED(_ZNK4absl7debian312Notification19WaitForNotificationEv)(
    const Notification* notification) {
  REAL(_ZNK4absl7debian312Notification19WaitForNotificationEv)(notification);
  __tsan_acquire(const_cast<Notification*>(notification));
}

bool REAL(
    _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
    const Notification* notification, Duration timeout);
bool WRAPPED(
    _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
    const Notification* notification, Duration timeout) {
  const bool notified = REAL(
      _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
      notification, timeout);
  __tsan_acquire(const_cast<Notification*>(notification));
  return notified;
}

}  // extern "C"
