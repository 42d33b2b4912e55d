#include "coordinator/queue/judge_thread.h"

#include <pthread.h>

#include <utility>

#include "common/base/log.h"

namespace foldfarm {

JudgeThread::JudgeThread(std::function<absl::Status(SweepId)> judge)
    : judge_(std::move(judge)), thread_([this] { Loop(); }) {}

JudgeThread::~JudgeThread() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    wake_.Signal();
    idle_.SignalAll();
  }
  thread_.join();
}

void JudgeThread::Wake(const std::set<SweepId>& sweeps) {
  absl::MutexLock lock(&mu_);
  due_.insert(sweeps.begin(), sweeps.end());
  due_.merge(failed_);
  failed_.clear();
  if (!due_.empty()) wake_.Signal();
}

void JudgeThread::WaitUntilIdle() {
  absl::MutexLock lock(&mu_);
  while ((busy_ || !due_.empty()) && !stop_) idle_.Wait(&mu_);
}

void JudgeThread::Loop() {
  pthread_setname_np(pthread_self(), "sweep-judge");
  absl::MutexLock lock(&mu_);
  while (true) {
    while (due_.empty() && !stop_) wake_.Wait(&mu_);
    if (stop_) return;
    const SweepId sweep = *due_.begin();
    due_.erase(due_.begin());
    busy_ = true;
    mu_.Unlock();
    const absl::Status status = judge_(sweep);
    if (!status.ok()) {
      SPDLOG_WARN("sweep=s{} cannot be judged now, later again: {}",
                  sweep.value, status.ToString());
    }
    mu_.Lock();
    busy_ = false;
    if (!status.ok()) failed_.insert(sweep);
    if (due_.empty()) idle_.SignalAll();
  }
}

}  // namespace foldfarm
