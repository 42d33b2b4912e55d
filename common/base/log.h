// Logging: one event a line, ids first; set up once by main.
//
// Use SPDLOG_INFO and its kin. INFO: a state changed. WARNING: we recovered.
// ERROR: someone must act.
#ifndef FOLDFARM_COMMON_BASE_LOG_H_
#define FOLDFARM_COMMON_BASE_LOG_H_

#include <spdlog/spdlog.h>

#include <string>

#include "absl/status/status.h"

// Compiled once, in log.cc: without this each unit that logs compiles all of
// fmt's formatting anew, which takes 5 s.
extern template void fmt::detail::vformat_to<char>(
    fmt::detail::buffer<char>&, fmt::string_view,
    fmt::basic_format_args<fmt::buffer_context<char>>, fmt::detail::locale_ref);

namespace foldfarm {

// Sends log lines of `program` to stderr, or appends them to `file` when it is
// not empty. `level` is trace, debug, info, warning, error or off.
// Errors: INVALID_ARGUMENT for another level; those of opening the file.
absl::Status InitLog(const std::string& program, const std::string& level,
                     const std::string& file = "");

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_LOG_H_
