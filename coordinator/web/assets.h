// The page's files, compiled in, so that the program needs none at run time.
#ifndef FOLDFARM_COORDINATOR_WEB_ASSETS_H_
#define FOLDFARM_COORDINATOR_WEB_ASSETS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

struct Asset {
  // "/app.js"; the page itself is "/".
  absl::string_view path;
  absl::string_view content_type;
  absl::string_view content;
};

// All of them; made by CMake from coordinator/web/assets and Chart.js.
absl::Span<const Asset> Assets();

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_ASSETS_H_
