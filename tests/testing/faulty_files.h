// A file layer that fails on demand: a shared library in front of libc's
// write, pwrite, fsync and fdatasync. A test links it, or starts a program with
// it in LD_PRELOAD.
//
// Faults are a list "KIND:PATH:N", comma-separated, in the variable
// FOLDFARM_FAULTS or handed to foldfarm_set_faults(). PATH is a part of the
// file's path, its end when a '$' follows; N counts the calls on such files,
// from 1:
//   fsync:PATH:N    the Nth flush fails with EIO, once: the next one succeeds,
//                   as Linux reports such an error a single time
//   full:PATH:N     from the Nth write on there is no room (ENOSPC), until the
//                   faults are set anew
//   short:PATH:N    every Nth write writes only half
//   tear:PATH:N     the power fails in the Nth flush: half of what was written
//                   last never came to the disk, and the process is gone
#ifndef FOLDFARM_TESTS_TESTING_FAULTY_FILES_H_
#define FOLDFARM_TESTS_TESTING_FAULTY_FILES_H_

// Replaces all faults and begins to count anew; "" is none. Thread-safe.
extern "C" void foldfarm_set_faults(const char* faults);

#endif  // FOLDFARM_TESTS_TESTING_FAULTY_FILES_H_
