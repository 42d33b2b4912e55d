#include "coordinator/cli/eta.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/pace_model.h"

namespace foldfarm {
namespace {

// Up to this ratio of high and low a time reads as known, or as "about".
constexpr double kKnown = 1.25;
constexpr double kAbout = 1.9;

// A worker's room for this sweep.
struct Room {
  std::string worker;
  int free = 0;
  int total = 0;
  bool takes_new = true;
};

// What the schedule needs of a job.
struct Work {
  const v1::Job* job = nullptr;
  int slots = 1;
  double doubt = 0;
};

// The workers that can run jobs of the sweep, with the slots that its own jobs
// take now or that are free: what other sweeps take, they will take again.
std::vector<Room> Rooms(const EtaInput& input) {
  std::map<std::string, int> own;  // Slots that this sweep takes, by worker.
  std::map<std::string, int> slots_of;
  for (const v1::Job& job : input.jobs) {
    const int slots = std::max(1, job.slots());
    slots_of[job.name()] = slots;
    if (job.state() == v1::Job::RUNNING) own[job.worker()] += slots;
  }
  std::vector<Room> rooms;
  for (const v1::Worker& worker : input.workers) {
    if (worker.state() == v1::Worker::OFFLINE) continue;
    const int mine = own[worker.name()];
    own.erase(worker.name());
    // The two lists may be some seconds apart.
    int listed = 0;
    for (const std::string& job : worker.jobs()) {
      const auto it = slots_of.find(job);
      if (it != slots_of.end()) listed += it->second;
    }
    const int others = std::max(0, worker.busy_slots() - listed);
    Room room;
    room.worker = worker.name();
    room.total = std::max(mine, worker.slots() - others);
    room.free = room.total - mine;
    room.takes_new = worker.state() == v1::Worker::ONLINE;
    if (room.total > 0) rooms.push_back(room);
  }
  for (const auto& [worker, slots] : own) {
    if (slots > 0) {
      rooms.push_back({worker, 0, slots, input.workers.empty()});
    }
  }
  return rooms;
}

// Deals the jobs to the rooms. Each takes (1 + spread x its doubt) of what the
// model says. Returns ends in seconds from now by index of `work`; infinite
// where no worker will take the job.
std::vector<double> Deal(const PaceModel& model, const EtaInput& input,
                         const std::vector<Work>& work, std::vector<Room> rooms,
                         double spread) {
  struct End {
    double time;
    size_t room;
    int slots;
    bool operator>(const End& other) const { return time > other.time; }
  };
  std::vector<double> ends(work.size(),
                           std::numeric_limits<double>::infinity());
  std::priority_queue<End, std::vector<End>, std::greater<End>> running;
  std::vector<size_t> waiting;
  for (size_t i = 0; i < work.size(); ++i) {
    const v1::Job& job = *work[i].job;
    if (job.state() != v1::Job::RUNNING) {
      waiting.push_back(i);
      continue;
    }
    ends[i] = model.Remaining(job) * (1 + spread * work[i].doubt);
    for (size_t r = 0; r < rooms.size(); ++r) {
      if (rooms[r].worker == job.worker()) {
        running.push({ends[i], r, work[i].slots});
      }
    }
  }
  int largest = 0;
  for (const Room& room : rooms) {
    if (room.takes_new) largest = std::max(largest, room.total);
  }
  if (largest == 0) return ends;
  double now = 0;
  while (!waiting.empty()) {
    double wake = std::numeric_limits<double>::infinity();
    std::vector<size_t> still;
    for (const size_t i : waiting) {
      const v1::Job& job = *work[i].job;
      const double earliest =
          job.has_not_before_time()
              ? absl::ToDoubleSeconds(ToTime(job.not_before_time()) - input.now)
              : 0;
      const int slots = std::min(work[i].slots, largest);
      Room* best = nullptr;
      size_t at = 0;
      if (earliest > now) {
        wake = std::min(wake, earliest);
      } else {
        for (size_t r = 0; r < rooms.size(); ++r) {
          Room& room = rooms[r];
          if (!room.takes_new || room.free < slots) continue;
          if (best == nullptr || room.free > best->free) {
            best = &room;
            at = r;
          }
        }
      }
      if (best == nullptr) {
        still.push_back(i);
        continue;
      }
      ends[i] =
          now + model.Total(job, best->worker) * (1 + spread * work[i].doubt);
      best->free -= slots;
      running.push({ends[i], at, slots});
    }
    waiting = std::move(still);
    if (waiting.empty()) break;
    if (!running.empty() && running.top().time <= wake) {
      now = std::max(now, running.top().time);
      rooms[running.top().room].free += running.top().slots;
      running.pop();
    } else if (wake != std::numeric_limits<double>::infinity()) {
      now = wake;
    } else {
      break;
    }
  }
  return ends;
}

void Extend(absl::Duration& all, absl::Duration one) {
  all = std::max(all, one);
}

}  // namespace

Estimate EstimateRemaining(const EtaInput& input) {
  Estimate estimate;
  std::vector<Work> work;
  for (const v1::Job& job : input.jobs) {
    if (job.state() == v1::Job::RUNNING || job.state() == v1::Job::PENDING) {
      work.push_back({&job, std::max(1, job.slots()), 0});
    }
  }
  if (work.empty()) {
    estimate.sweep = {absl::ZeroDuration(), absl::ZeroDuration(),
                      absl::ZeroDuration()};
    return estimate;
  }
  const PaceModel model(input);
  if (!model.knows_anything()) return estimate;
  for (Work& one : work) one.doubt = model.Doubt(*one.job);
  const std::vector<Room> rooms = Rooms(input);
  const std::vector<double> likely = Deal(model, input, work, rooms, 0);
  const std::vector<double> low = Deal(model, input, work, rooms, -1);
  const std::vector<double> high = Deal(model, input, work, rooms, 1);
  const auto nothing = [] {
    return TimeLeft{absl::ZeroDuration(), absl::ZeroDuration(),
                    absl::ZeroDuration()};
  };
  estimate.sweep = nothing();
  for (size_t i = 0; i < work.size(); ++i) {
    const v1::Job& job = *work[i].job;
    const TimeLeft left = {absl::Seconds(likely[i]), absl::Seconds(low[i]),
                           absl::Seconds(high[i])};
    const auto [of_model, is_new] =
        estimate.models.emplace(job.model(), nothing());
    for (TimeLeft* all : {&estimate.sweep, &of_model->second}) {
      Extend(all->likely, left.likely);
      Extend(all->low, left.low);
      Extend(all->high, left.high);
    }
    if (job.state() == v1::Job::RUNNING) estimate.jobs[job.name()] = left;
  }
  return estimate;
}

double PredictionEpochs(int tta, int folds) {
  if (tta <= 0) return 0;
  return tta / (3.0 * std::max(1, folds - 1));
}

namespace {

bool WellKnown(const TimeLeft& left) {
  return left.high <= left.low * kKnown ||
         left.high - left.low <= absl::Seconds(2);
}

}  // namespace

std::string LeftText(const TimeLeft& left) {
  if (!left.known() || left.likely <= absl::ZeroDuration()) return "";
  if (WellKnown(left)) return absl::StrCat(HumanDuration(left.likely), " left");
  if (left.high <= left.low * kAbout) {
    return absl::StrCat("about ", RoughDuration(left.likely), " left");
  }
  return absl::StrCat(RoughDuration(left.low), " to ", RoughDuration(left.high),
                      " left");
}

std::string ShortLeftText(const TimeLeft& left) {
  if (!left.known() || left.likely <= absl::ZeroDuration()) return "";
  if (WellKnown(left)) return HumanDuration(left.likely);
  return absl::StrCat("~", RoughDuration(left.likely));
}

}  // namespace foldfarm
