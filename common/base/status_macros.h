// Macros that pass an absl::Status up.
//
// They carry the project's prefix because LibTorch and Abseil's later versions
// define the short names.
#ifndef FOLDFARM_COMMON_BASE_STATUS_MACROS_H_
#define FOLDFARM_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// Returns from the function when `expr` (an absl::Status) is not OK.
#define FOLDFARM_RETURN_IF_ERROR(expr)                   \
  do {                                                   \
    ::absl::Status foldfarm_status_ = (expr);            \
    if (!foldfarm_status_.ok()) return foldfarm_status_; \
  } while (false)

// Assigns the value of `expr` (an absl::StatusOr) to `lhs`, or returns its
// status. `lhs` may declare a variable.
#define FOLDFARM_ASSIGN_OR_RETURN(lhs, expr)                                \
  FOLDFARM_ASSIGN_OR_RETURN_IMPL_(FOLDFARM_CONCAT_(foldfarm_or_, __LINE__), \
                                  lhs, expr)
#define FOLDFARM_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                    \
  if (!tmp.ok()) return std::move(tmp).status();        \
  lhs = std::move(tmp).value()
#define FOLDFARM_CONCAT_(a, b) FOLDFARM_CONCAT_IMPL_(a, b)
#define FOLDFARM_CONCAT_IMPL_(a, b) a##b

namespace foldfarm {

// `status` with another message; its payloads stay.
inline absl::Status WithMessage(const absl::Status& status,
                                absl::string_view message) {
  absl::Status result(status.code(), message);
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    result.SetPayload(type, payload);
  });
  return result;
}

// Puts `context` before the message of a status that is not OK: "context:
// message".
inline absl::Status Annotate(const absl::Status& status,
                             absl::string_view context) {
  if (status.ok()) return status;
  return WithMessage(status, absl::StrCat(context, ": ", status.message()));
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_STATUS_MACROS_H_
