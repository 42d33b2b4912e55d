#include "tests/bench/flush_speed.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "common/base/files.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {

std::vector<FlushSpeed> MeasureFlushes(const std::string& directory) {
  const std::string path = JoinPath(directory, "disk");
  const std::string page(4096, 'x');
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) DieUnlessOk(ErrnoStatus(path, "cannot open"));
  struct Way {
    const char* name;
    int writes;
    absl::Duration pause;
  };
  std::vector<FlushSpeed> speeds;
  for (const Way& way : {Way{"append", 500, absl::ZeroDuration()},
                         Way{"overwrite", 500, absl::ZeroDuration()},
                         Way{"idle", 100, absl::Milliseconds(5)}}) {
    std::vector<double> seconds;
    for (int i = 0; i < way.writes; ++i) {
      absl::SleepFor(way.pause);
      const double begin = Now();
      if (pwrite(fd, page.data(), page.size(), 4096 * i) < 0 ||
          fdatasync(fd) != 0) {
        DieUnlessOk(ErrnoStatus(path, "cannot write"));
      }
      seconds.push_back(Now() - begin);
    }
    speeds.push_back({way.name, 1e3 * Percentile(seconds, 0.5),
                      1e3 * Percentile(seconds, 0.99)});
  }
  close(fd);
  unlink(path.c_str());
  return speeds;
}

}  // namespace foldfarm
