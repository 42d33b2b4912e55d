// A coordinator's folder with a registered dataset and results to hand in, for
// tests that start many farms: make it once, copy it for each.
#ifndef FOLDFARM_TESTS_TESTING_TINY_FARM_H_
#define FOLDFARM_TESTS_TESTING_TINY_FARM_H_

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/digest.h"
#include "coordinator/queue/job_queue.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {

// Makes a call of a queue and waits for its answer.
template <typename Response, typename Request>
absl::StatusOr<Response> AskQueue(
    JobQueue& queue,
    void (JobQueue::*method)(Request, JobQueue::Answer<Response>),
    Request request) {
  absl::StatusOr<Response> result = absl::UnknownError("no answer");
  absl::Notification answered;
  (queue.*method)(std::move(request), [&](absl::StatusOr<Response> answer) {
    result = std::move(answer);
    answered.Notify();
  });
  answered.WaitForNotification();
  return result;
}

// Acquires leases without waiting for work.
inline absl::StatusOr<v1::AcquireLeasesResponse> AskForLeases(JobQueue& queue,
                                                              int64_t session,
                                                              int slots) {
  v1::AcquireLeasesRequest request;
  request.set_session(session);
  request.set_free_slots(slots);
  absl::StatusOr<v1::AcquireLeasesResponse> result;
  absl::Notification answered;
  queue.AcquireLeases(request, &result,
                      [&](absl::StatusOr<v1::AcquireLeasesResponse> answer) {
                        result = std::move(answer);
                        answered.Notify();
                      });
  answered.WaitForNotification();
  return result;
}

// A sweep "s" of networks "m0", "m1"... that predict nothing but prevalences.
inline v1::SweepSpec TinySweep(int models, const v1::FoldsSpec& folds) {
  v1::SweepSpec spec;
  spec.set_name("s");
  *spec.mutable_folds() = folds;
  for (int i = 0; i < models; ++i) {
    v1::ModelSpec& model = *spec.add_models();
    model.set_name(absl::StrCat("m", i));
    model.mutable_arch()->mutable_none();
  }
  return spec;
}

// Stores bytes as an artifact.
inline absl::StatusOr<v1::ArtifactRef> KeepBytes(ArtifactFiles& files,
                                                 const std::string& bytes,
                                                 const std::string& name) {
  v1::ArtifactRef ref;
  ref.set_name(name);
  ref.set_digest(Sha256Hex(bytes));
  ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
  auto upload = files.BeginUpload(ref.digest(), ref.size_bytes(), 0);
  if (!upload.ok()) return upload.status();
  if (*upload == nullptr) return ref;  // It is there.
  if (absl::Status s = (*upload)->Append(bytes); !s.ok()) return s;
  if (absl::Status s = (*upload)->Finish(); !s.ok()) return s;
  return ref;
}

// Opens `folder`, registers the dataset "tiny" and stores, for each fold of
// TinySweep(1, folds), valid predictions, which it returns by fold. The sweep
// itself is tried in `scratch`, another folder.
inline absl::StatusOr<std::vector<v1::ArtifactRef>> MakeTinyFarm(
    const std::string& folder, const std::string& scratch,
    const v1::FoldsSpec& folds) {
  std::vector<std::string> predictions;
  std::vector<v1::ArtifactRef> refs;
  for (const std::string& path : {scratch, folder}) {
    FakeClock clock;
    auto store = Store::Open(path);
    if (!store.ok()) return store.status();
    auto files = ArtifactFiles::Open(path);
    if (!files.ok()) return files.status();
    auto queue = JobQueue::Start(**store, **files, clock, QueueOptions());
    if (!queue.ok()) return queue.status();
    const auto dataset = KeepBytes(**files, TinyDataset(12), "dataset");
    if (!dataset.ok()) return dataset.status();
    v1::RegisterDatasetRequest registration;
    registration.set_name("tiny");
    registration.set_digest(dataset->digest());
    if (auto done = (*queue)->RegisterDataset(registration); !done.ok()) {
      return done.status();
    }
    if (path == folder) {
      for (const std::string& bytes : predictions) {
        auto ref = KeepBytes(**files, bytes, "oof.safetensors");
        if (!ref.ok()) return ref.status();
        refs.push_back(*ref);
      }
      continue;
    }
    v1::SubmitSweepRequest submission;
    submission.set_request_id("r");
    submission.set_dataset("tiny");
    *submission.mutable_spec() = TinySweep(1, folds);
    const auto submitted = (*queue)->SubmitSweep(submission);
    if (!submitted.ok()) return submitted.status();
    v1::RegisterRequest worker;
    worker.set_name("w");
    worker.set_slots(submitted->jobs());
    const auto session =
        AskQueue<v1::RegisterResponse>(**queue, &JobQueue::Register, worker);
    if (!session.ok()) return session.status();
    const auto leases =
        AskForLeases(**queue, session->session(), submitted->jobs());
    if (!leases.ok()) return leases.status();
    predictions.resize(static_cast<size_t>(leases->leases_size()));
    for (const v1::Lease& lease : leases->leases()) {
      const auto& samples = lease.spec().validation_samples();
      predictions.at(static_cast<size_t>(lease.spec().fold())) =
          TinyOof({samples.begin(), samples.end()}, 0.25f);
    }
  }
  return refs;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_TINY_FARM_H_
