// The real trainer on an attempt's folder, with its events on a pipe.
#ifndef FOLDFARM_TESTS_WORKER_TRAINER_RUNNING_TRAINER_H_
#define FOLDFARM_TESTS_WORKER_TRAINER_RUNNING_TRAINER_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "nlohmann/json.hpp"

namespace foldfarm {

class RunningTrainer {
 public:
  using Json = nlohmann::json;

  explicit RunningTrainer(const std::string& folder) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    events_ = ends[0];
    SubprocessOptions options;
    options.argv = {FOLDFARM_BIN_DIR "/foldfarm-trainer", "attempt", folder};
    options.descriptors = {{1, 1}, {2, 2}, {3, ends[1]}};
    auto process = Subprocess::Spawn(options);
    EXPECT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    close(ends[1]);
  }
  ~RunningTrainer() { close(events_); }

  // The next event, or null at the end.
  Json Next() {
    for (;;) {
      const size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        const Json event = ParseJson(buffer_.substr(0, end));
        buffer_.erase(0, end + 1);
        return event;
      }
      char bytes[4096];
      const ssize_t size = read(events_, bytes, sizeof(bytes));
      if (size <= 0) return nullptr;
      buffer_.append(bytes, static_cast<size_t>(size));
    }
  }
  // The next event of that kind, or null at the end.
  Json Next(const std::string& kind) {
    for (;;) {
      Json event = Next();
      if (event.is_null() || event["event"] == kind) return event;
    }
  }

  void Terminate() { process_->Signal(SIGTERM); }
  void Kill() { process_->Signal(SIGKILL); }
  ExitState Wait() { return process_->Wait(); }
  int ExitStatus() {
    const ExitState state = process_->Wait();
    EXPECT_EQ(state.signal, 0);
    return state.exit_status;
  }

 private:
  int events_ = -1;
  std::string buffer_;
  std::unique_ptr<Subprocess> process_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_TRAINER_RUNNING_TRAINER_H_
