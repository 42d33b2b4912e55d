// What the page's answers share: their headers, and how their bytes leave.
#ifndef FOLDFARM_COORDINATOR_WEB_HTTP_REPLY_H_
#define FOLDFARM_COORDINATOR_WEB_HTTP_REPLY_H_

#include <httplib.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

inline constexpr char kJson[] = "application/json";

// Of every answer: the page runs no script but its own.
const httplib::Headers& CommonHeaders();

// Whether a request has a body, seen before any of it is read: the library
// takes one of any length and kind, unpacked, ahead of asking who sends it.
bool HasBody(const httplib::Request& request);

void Reply(httplib::Response& response, int status, const char* type,
           std::string body);

// 200 with what lives as long as the program.
void ReplyStatic(httplib::Response& response, const std::string& type,
                 absl::string_view body);

// The error as JSON.
void ReplyError(httplib::Response& response, const absl::Status& status);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_HTTP_REPLY_H_
