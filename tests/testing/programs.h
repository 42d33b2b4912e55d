// Runs small programs of the system for tests, and takes random numbers and
// counts from and to the environment.
#ifndef FOLDFARM_TESTS_TESTING_PROGRAMS_H_
#define FOLDFARM_TESTS_TESTING_PROGRAMS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace foldfarm {

// Runs a program to its end and returns what it wrote, errors included.
//
// Errors: INTERNAL with that text when the exit status is not 0; those of
// Subprocess::Spawn.
absl::StatusOr<std::string> OutputOf(const std::vector<std::string>& argv);

// Looks until `condition` holds; false when `patience` ran out.
bool PollUntil(absl::Duration patience, const std::function<bool()>& condition);

// What chaos is drawn from: FOLDFARM_CHAOS_SEED, or 1. Printed at its first
// use.
uint32_t ChaosSeed();

// A positive number from the environment, or `otherwise`.
int FromEnvironment(const char* variable, int otherwise);

// Counts something for the summary of a long run: appends "NAME COUNT" to the
// file FOLDFARM_CHAOS_TALLY, if there is one. Thread-safe.
void CountForSummary(absl::string_view name, int64_t count);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_PROGRAMS_H_
