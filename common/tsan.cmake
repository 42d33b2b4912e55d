# In the thread sanitizer's presets: what tests/testing/tsan_absl.cc wraps.
function(foldfarm_add_tsan_absl)
  add_library(foldfarm_tsan_absl OBJECT
              ${CMAKE_SOURCE_DIR}/tests/testing/tsan_absl.cc)
  target_link_libraries(foldfarm_tsan_absl PUBLIC absl::synchronization)
  foreach(symbol
          _ZN4absl7debian35Mutex4LockEv
          _ZN4absl7debian35Mutex10ReaderLockEv
          _ZN4absl7debian35Mutex6UnlockEv
          _ZN4absl7debian35Mutex12ReaderUnlockEv
          _ZN4absl7debian35Mutex7TryLockEv
          _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
          _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE
          _ZN4absl7debian312Notification6NotifyEv
          _ZNK4absl7debian312Notification19WaitForNotificationEv
          _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)
    target_link_options(foldfarm_tsan_absl INTERFACE -Wl,--wrap=${symbol})
  endforeach()
endfunction()
