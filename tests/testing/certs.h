// Certificates for tests, made as a user makes them.
#ifndef FOLDFARM_TESTS_TESTING_CERTS_H_
#define FOLDFARM_TESTS_TESTING_CERTS_H_

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/subprocess.h"

namespace foldfarm {

// Runs deploy/certs; returns its exit status. `directory` gets ca.crt, and
// HOST.crt and HOST.key for the first of `names`, which commas separate.
inline int MakeCerts(const std::string& directory, const std::string& names) {
  SubprocessOptions options;
  options.argv = {absl::StrCat(FOLDFARM_SOURCE_DIR, "/deploy/certs"), "--dir",
                  directory, names};
  const auto child = Subprocess::Spawn(options);
  EXPECT_TRUE(child.ok()) << child.status();
  return child.ok() ? (*child)->Wait().exit_status : -1;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_CERTS_H_
