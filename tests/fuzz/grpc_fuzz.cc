// The services' handlers: a sequence of calls made of bytes, on the real store
// and queue, over gRPC within the process, with a clock that the bytes move.
//
// 1. A command byte picks a call that makes sense (register, acquire, finish
//    with a valid result...), and following bytes its arguments; some more
//    bytes may be merged into the message, whatever they mean.
// 2. Or it picks any unary method of any service, and the bytes are the
// message:
//    methods are found in the services' descriptors, so that a new one is
//    called without a line here.
// 3. After each command the tables are read, and must be consistent.
//
// Decoding never fails: bytes that run out are zeros.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/log.h"
#include "tests/fuzz/farm_world.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {
namespace {

// Of one input.
constexpr int kMostCommands = 40;

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  int Take() {
    if (empty()) return 0;
    --size_;
    return *data_++;
  }
  // Up to `most` bytes, their number first.
  std::string TakeText(size_t most) {
    const size_t n = std::min({static_cast<size_t>(Take()), most, size_});
    std::string text(reinterpret_cast<const char*>(data_), n);
    data_ += n;
    size_ -= n;
    return text;
  }
  // One of what is there, or 0.
  int64_t Pick(const std::vector<int64_t>& of) {
    const size_t at = static_cast<size_t>(Take());
    return of.empty() ? 0 : of[at % of.size()];
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// Merges what the input wants into a message that made sense.
template <typename Message>
Message Twisted(Message message, Bytes& in) {
  const std::string bytes = in.TakeText(200);
  Message twisted = message;
  if (bytes.empty() || !twisted.MergeFromString(bytes)) return message;
  return twisted;
}

void Register(FarmWorld& world, Bytes& in) {
  v1::RegisterRequest request;
  request.set_name(absl::StrCat("w", in.Take() % 3));
  request.set_slots(1 + in.Take() % 3);
  const int held = in.Take() % 4;
  for (int i = 0; i < held; ++i) request.add_held_tokens(in.Pick(world.tokens));
  const auto response = world.Work(&v1::WorkerService::StubInterface::Register,
                                   Twisted(request, in));
  if (response.ok()) world.sessions.push_back(response->session());
}

void Acquire(FarmWorld& world, Bytes& in) {
  v1::AcquireLeasesRequest request;
  request.set_session(in.Pick(world.sessions));
  request.set_free_slots(in.Take() % 4);
  request.set_max_leases(in.Take() % 3);
  request = Twisted(request, in);
  request.clear_wait_seconds();  // The clock stands still.
  const auto response =
      world.Work(&v1::WorkerService::StubInterface::AcquireLeases, request);
  if (response.ok()) world.Note(response->leases());
}

void Heartbeat(FarmWorld& world, Bytes& in) {
  v1::HeartbeatRequest request;
  request.set_session(in.Pick(world.sessions));
  const int tokens = in.Take() % 4;
  for (int i = 0; i < tokens; ++i) request.add_tokens(in.Pick(world.tokens));
  request.set_draining(in.Take() % 8 == 1);
  world.Work(&v1::WorkerService::StubInterface::Heartbeat, Twisted(request, in))
      .status()
      .IgnoreError();
}

void Report(FarmWorld& world, Bytes& in) {
  v1::ReportProgressRequest request;
  request.set_token(in.Pick(world.tokens));
  request.set_started(in.Take() % 2 == 1);
  request.set_epochs_total(in.Take());
  v1::EpochMetrics& epoch = *request.add_epochs();
  epoch.set_epoch(in.Take());
  (*epoch.mutable_values())["seconds"] = in.Take();
  if (in.Take() % 2 == 1) {
    *request.add_checkpoint() = world.results()[0];
    request.set_checkpoint_epoch(in.Take());
  }
  world
      .Work(&v1::WorkerService::StubInterface::ReportProgress,
            Twisted(request, in))
      .status()
      .IgnoreError();
}

void Finish(FarmWorld& world, Bytes& in) {
  v1::FinishAttemptRequest request;
  request.set_session(in.Pick(world.sessions));
  request.set_token(in.Pick(world.tokens));
  request.set_outcome(static_cast<v1::Attempt::State>(in.Take() % 8));
  request.set_failure_kind(static_cast<v1::FailureKind>(in.Take() % 6));
  // The right fold's predictions half of the time.
  const size_t folds = world.results().size();
  *request.add_artifacts() =
      world.results()[static_cast<size_t>(in.Take()) % folds];
  request.set_next_leases(in.Take() % 3);
  request.set_free_slots(in.Take() % 4);
  const auto response = world.Work(
      &v1::WorkerService::StubInterface::FinishAttempt, Twisted(request, in));
  if (response.ok()) world.Note(response->next_leases());
}

void Submit(FarmWorld& world, Bytes& in) {
  v1::SubmitSweepRequest request;
  request.set_request_id(absl::StrCat("r", in.Take() % 4));
  request.set_dataset("tiny");
  request.set_no_reuse(in.Take() % 2 == 1);
  v1::SweepSpec& spec = *request.mutable_spec();
  spec.set_name("s");
  spec.mutable_folds()->set_count(2);
  const int models = 1 + in.Take() % 3;
  for (int i = 0; i < models; ++i) {
    v1::ModelSpec& model = *spec.add_models();
    model.set_name(absl::StrCat("m", i));
    model.mutable_arch()->mutable_none();
  }
  const auto response = world.Ask(&v1::FarmService::StubInterface::SubmitSweep,
                                  Twisted(request, in));
  if (response.ok()) world.sweeps.push_back(response->sweep());
}

std::string Target(FarmWorld& world, Bytes& in) {
  const size_t sweep = static_cast<size_t>(in.Take());
  const int job = in.Take();
  if (world.sweeps.empty()) return "s1";
  const std::string& name = world.sweeps[sweep % world.sweeps.size()];
  if (job % 2 == 0) return name;
  return absl::StrCat(name, "/m", job / 4 % 3, "/", job / 2 % 2);
}

void CancelJobs(FarmWorld& world, Bytes& in) {
  v1::CancelRequest request;
  request.set_target(Target(world, in));
  world.Ask(&v1::FarmService::StubInterface::Cancel, Twisted(request, in))
      .status()
      .IgnoreError();
}

void RetryJobs(FarmWorld& world, Bytes& in) {
  v1::RetryRequest request;
  request.set_target(Target(world, in));
  world.person_retried = true;
  world.Ask(&v1::FarmService::StubInterface::Retry, Twisted(request, in))
      .status()
      .IgnoreError();
}

void AnyMethod(FarmWorld& world, Bytes& in) {
  if (world.over_stream) return world.StreamBytes(in.TakeText(255));
  const auto& methods = FarmWorld::UnaryMethods();
  const auto* method = methods[static_cast<size_t>(in.Take()) % methods.size()];
  // A person's call may retry jobs.
  world.person_retried = true;
  world.CallWithBytes(*method, in.TakeText(255));
}

void Run(Bytes in) {
  FarmWorld world;
  for (int i = 0; i < kMostCommands && !in.empty(); ++i) {
    world.person_retried = false;
    const int command = in.Take();
    world.over_stream = command >= 128;
    switch (command % 12) {
      case 0:
        Register(world, in);
        break;
      case 1:
      case 2:
        Acquire(world, in);
        break;
      case 3:
        Heartbeat(world, in);
        break;
      case 4:
        Report(world, in);
        break;
      case 5:
      case 6:
        Finish(world, in);
        break;
      case 7:
        Submit(world, in);
        break;
      case 8:
        CancelJobs(world, in);
        break;
      case 9:
        RetryJobs(world, in);
        break;
      case 10:
        if (const int seconds = in.Take(); seconds == 255) {
          world.Restart();
        } else {
          world.Advance(absl::Seconds(seconds % 64));
        }
        break;
      case 11:
        AnyMethod(world, in);
        break;
    }
    world.CheckTables();
  }
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  foldfarm::Run({data, size});
  return 0;
}
