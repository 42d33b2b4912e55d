// What a trainer, or a user's own program, says on its event pipe.
#include <cmath>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "worker/agent/trainer_event.h"

namespace foldfarm {
namespace {

constexpr size_t kLineBytes = 4096;

// A name that cannot lead out of a folder.
void PromiseInside(const std::string& name) {
  Promise(!name.empty() && name != "." && name != ".." &&
              name.find('/') == std::string::npos &&
              name.find('\0') == std::string::npos,
          "a file is in the attempt's folder", name);
}

void OneLine(absl::string_view line, bool) {
  Promise(line.size() <= kLineBytes, "a line is bounded");
  const std::string clean = CleanText(line, 100);
  Promise(clean.size() <= 100, "text is bounded");
  Promise(CleanText(clean, 100) == clean, "clean text stays as it is", clean);
  Promise(IsClean(clean), "clean text is clean", clean);
  const auto event = ParseTrainerEvent(line);
  if (!event.ok()) {
    PromiseInvalid(event.status());
    return;
  }
  if (event->kind == TrainerEvent::Kind::kCheckpoint) {
    PromiseInside(event->path);
  }
  for (const std::string& file : event->files) PromiseInside(file);
  for (const auto& [name, value] : event->metrics) {
    Promise(std::isfinite(value), "a metric is finite", name);
  }
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  foldfarm::LineSplitter splitter(foldfarm::kLineBytes, foldfarm::OneLine);
  // In pieces, as a pipe gives them.
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  for (size_t at = 0; at < size; at += 61) splitter.Append(text.substr(at, 61));
  splitter.Finish();
  return 0;
}
