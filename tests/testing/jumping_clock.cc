// Preloaded into a program (LD_PRELOAD), makes its wall clock jump while it
// runs, as when somebody sets the time of a machine.
//
// The file named by FOLDFARM_CLOCK_OFFSET holds nanoseconds, an int64 in the
// machine's order, that are added to the wall clock; it is read at every look
// at the clock. As in the kernel, whoever waits for a moment of the wall clock
// waits for it by the clock as it is then: waits of that kind (futexes with an
// absolute timeout, condition variables) are cut into slices. The monotonic
// clock stays as it is.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kSlice = 10'000'000;
// What is later than this is a moment of the wall clock, not of another.
constexpr int64_t kYear2001 = 1'000'000'000;

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

long RealSyscall(long number, const long (&a)[6]) {
  static const auto real = Real<long (*)(long, ...)>("syscall");
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int64_t Offset() {
  static const volatile int64_t* offset = []() -> const volatile int64_t* {
    const char* path = std::getenv("FOLDFARM_CLOCK_OFFSET");
    const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    void* map = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return map == MAP_FAILED ? nullptr : static_cast<int64_t*>(map);
  }
  ();
  return offset == nullptr ? 0 : *offset;
}

int64_t ToNanos(const timespec& time) {
  return time.tv_sec * kSecond + time.tv_nsec;
}
timespec FromNanos(int64_t nanos) { return {nanos / kSecond, nanos % kSecond}; }

int64_t RealNow() {
  timespec now;
  RealSyscall(SYS_clock_gettime,
              {CLOCK_REALTIME, reinterpret_cast<long>(&now), 0, 0, 0, 0});
  return ToNanos(now);
}

// The real moment at which to look again for `deadline` of the clock that
// jumps; in the past when it is over.
int64_t NextLook(int64_t deadline) {
  const int64_t now = RealNow();
  return now + std::min(deadline - (now + Offset()), kSlice);
}

bool IsOver(int64_t deadline) { return RealNow() + Offset() >= deadline; }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const auto real = Real<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, time);
  if (result == 0 &&
      (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    *time = FromNanos(ToNanos(*time) + Offset());
  }
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  const timespec now = FromNanos(RealNow() + Offset());
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* seconds) noexcept {
  const time_t now = (RealNow() + Offset()) / kSecond;
  if (seconds != nullptr) *seconds = now;
  return now;
}

long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  const bool waits = number == SYS_futex && a[3] != 0 &&
                     (a[1] & FUTEX_CLOCK_REALTIME) != 0 &&
                     (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
  if (!waits) return RealSyscall(number, a);
  const int64_t deadline = ToNanos(*reinterpret_cast<timespec*>(a[3]));
  while (true) {
    const timespec look = FromNanos(NextLook(deadline));
    a[3] = reinterpret_cast<long>(&look);
    const long result = RealSyscall(number, a);
    if (result == 0 || errno != ETIMEDOUT || IsOver(deadline)) return result;
  }
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           const timespec* until) {
  static const auto real =
      Real<int (*)(pthread_cond_t*, pthread_mutex_t*, const timespec*)>(
          "pthread_cond_timedwait");
  if (until->tv_sec < kYear2001) return real(condition, mutex, until);
  const int64_t deadline = ToNanos(*until);
  const timespec look = FromNanos(NextLook(deadline));
  const int result = real(condition, mutex, &look);
  // Waking for nothing is allowed.
  return result == ETIMEDOUT && !IsOver(deadline) ? 0 : result;
}

}  // extern "C"
