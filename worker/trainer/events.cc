#include "worker/trainer/events.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "nlohmann/json.hpp"

namespace foldfarm {
namespace {

// Keys keep the order in which they are said.
using Json = nlohmann::ordered_json;

// Torch's messages may quote anything.
std::string Dump(const Json& json) { return JsonText(json); }

}  // namespace

EventWriter::EventWriter(int fd)
    : fd_(fcntl(fd, F_GETFD) >= 0 ? fd : STDOUT_FILENO) {}

void EventWriter::Write(std::string line) {
  line += '\n';
  absl::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    // Nobody listens any more: the results in the folder still count.
    if (written <= 0) return;
    rest.remove_prefix(written);
  }
}

void EventWriter::Started(int epochs, int resumed_epoch,
                          absl::string_view device) {
  Write(Dump({{"event", "started"},
              {"epochs", epochs},
              {"resumed_epoch", resumed_epoch},
              {"device", std::string(device)}}));
}

void EventWriter::Epoch(int epoch,
                        const std::map<std::string, double>& metrics) {
  Write(Dump({{"event", "epoch"}, {"epoch", epoch}, {"metrics", metrics}}));
}

void EventWriter::Checkpoint(int epoch, absl::string_view path) {
  Write(Dump({{"event", "checkpoint"},
              {"epoch", epoch},
              {"path", std::string(path)}}));
}

void EventWriter::Log(absl::string_view level, absl::string_view message) {
  Write(Dump({{"event", "log"},
              {"level", std::string(level)},
              {"message", std::string(message)}}));
}

void EventWriter::Finished(const std::vector<std::string>& files,
                           const std::map<std::string, double>& metrics) {
  Write(Dump({{"event", "finished"}, {"files", files}, {"metrics", metrics}}));
}

void EventWriter::Failed(const absl::Status& status) {
  const char* code = "INTERNAL";
  if (absl::IsInvalidArgument(status)) code = "INVALID_ARGUMENT";
  if (absl::IsResourceExhausted(status)) code = "RESOURCE_EXHAUSTED";
  Write(Dump({{"event", "failed"},
              {"code", code},
              {"message", std::string(status.message())}}));
}

}  // namespace foldfarm
