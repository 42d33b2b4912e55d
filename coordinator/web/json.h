// Messages and errors as the JSON that the page reads.
#ifndef FOLDFARM_COORDINATOR_WEB_JSON_H_
#define FOLDFARM_COORDINATOR_WEB_JSON_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace foldfarm {

// Proto3 JSON on one line with every field that is not a message, as `-o json`
// of the command has it.
// Errors: INTERNAL, naming the message.
absl::StatusOr<std::string> MessageToJson(
    const google::protobuf::Message& message);

// {"error": {"code": "NOT_FOUND", "message": "no sweep ..."}}
std::string ErrorToJson(const absl::Status& status);

// The HTTP status that goes with a code: 404 for NOT_FOUND...
int ToHttpStatus(absl::StatusCode code);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_JSON_H_
