#include "tests/fuzz/farm_world.h"

#include <google/protobuf/dynamic_message.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"
#include "tests/testing/tiny_farm.h"

namespace foldfarm {
namespace {

// What every world begins as.
struct Beginning {
  std::string folder;
  std::vector<v1::ArtifactRef> results;
};

const Beginning& TheBeginning() {
  static const Beginning beginning = [] {
    Beginning made;
    made.folder = JoinPath(Scratch::Folder(), "beginning");
    const std::string scratch = JoinPath(Scratch::Folder(), "trial");
    for (const std::string& folder : {made.folder, scratch}) {
      Promise(MakeDirectories(folder).ok(), "a folder can be made", folder);
    }
    v1::FoldsSpec folds;
    folds.set_count(2);
    auto results = MakeTinyFarm(made.folder, scratch, folds);
    Promise(results.ok(), "a farm can be made", results.status().ToString());
    made.results = *std::move(results);
    return made;
  }();
  return beginning;
}

}  // namespace

FarmWorld::FarmWorld()
    : folder_(JoinPath(Scratch::Folder(), "world")),
      results_(TheBeginning().results) {
  std::filesystem::remove_all(folder_);
  std::filesystem::copy(TheBeginning().folder, folder_,
                        std::filesystem::copy_options::recursive);
  Open();
}

FarmWorld::~FarmWorld() { Close(); }

void FarmWorld::Open() {
  auto store = Store::Open(folder_);
  Promise(store.ok(), "the store opens", store.status().ToString());
  store_ = *std::move(store);
  files_ = *ArtifactFiles::Open(folder_);
  auto queue = JobQueue::Start(*store_, *files_, clock_, QueueOptions());
  Promise(queue.ok(), "the queue starts", queue.status().ToString());
  queue_ = *std::move(queue);
  worker_service_ =
      std::make_unique<WorkerServiceImpl>(*queue_, nullptr, metrics_);
  farm_service_ =
      std::make_unique<FarmServiceImpl>(*store_, *files_, *queue_, clock_);
  grpc::ServerBuilder builder;
  builder.RegisterService(worker_service_.get());
  builder.RegisterService(farm_service_.get());
  server_ = builder.BuildAndStart();
  Promise(server_ != nullptr, "the server starts");
  channel_ = server_->InProcessChannel(grpc::ChannelArguments());
  workers_ = v1::WorkerService::NewStub(channel_);
  farm_ = v1::FarmService::NewStub(channel_);
}

void FarmWorld::Close() {
  queue_->StopWaiting();
  if (stream_ != nullptr) {
    stream_->calls->WritesDone();
    Promise(EndStream().ok(), "a stream ends well");
  }
  farm_.reset();
  workers_.reset();
  channel_.reset();
  server_->Shutdown();
  server_->Wait();
  server_.reset();
  queue_.reset();
  files_.reset();
  store_.reset();
}

void FarmWorld::Restart() {
  Close();
  Open();
}

void FarmWorld::Advance(absl::Duration by) {
  clock_.Advance(by);
  queue_->RunDue();
}

void FarmWorld::PromiseHandled(const grpc::Status& status) {
  Promise(status.error_code() != grpc::StatusCode::INTERNAL &&
              status.error_code() != grpc::StatusCode::UNKNOWN &&
              status.error_code() != grpc::StatusCode::DATA_LOSS,
          "a call's error is the caller's", ToStatus(status).ToString());
}

const std::vector<const google::protobuf::MethodDescriptor*>&
FarmWorld::UnaryMethods() {
  static const auto& methods = *[] {
    auto* all = new std::vector<const google::protobuf::MethodDescriptor*>;
    for (const google::protobuf::FileDescriptor* file :
         {v1::RegisterRequest::descriptor()->file(),
          v1::SubmitSweepRequest::descriptor()->file()}) {
      for (int s = 0; s < file->service_count(); ++s) {
        for (int m = 0; m < file->service(s)->method_count(); ++m) {
          const auto* method = file->service(s)->method(m);
          if (method->client_streaming() || method->server_streaming()) {
            continue;
          }
          all->push_back(method);
        }
      }
    }
    return all;
  }();
  return methods;
}

void FarmWorld::CallWithBytes(const google::protobuf::MethodDescriptor& method,
                              const std::string& bytes) {
  // The generated type: descriptors are those of the generated pool.
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()
          ->GetPrototype(method.input_type())
          ->New());
  const bool valid = message->ParseFromString(bytes);
  std::string sent = bytes;
  if (valid) {
    const auto* wait = method.input_type()->FindFieldByName("wait_seconds");
    if (wait != nullptr) message->GetReflection()->ClearField(&*message, wait);
    sent = message->SerializeAsString();
  } else if (method.input_type()->FindFieldByName("wait_seconds") != nullptr) {
    return;
  }
  const grpc::Slice slice(sent);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::ClientContext context;
  grpc::CompletionQueue done;
  grpc::GenericStub stub(channel_);
  const std::string path =
      absl::StrCat("/", method.service()->full_name(), "/", method.name());
  const auto call = stub.PrepareUnaryCall(&context, path, request, &done);
  grpc::Status status;
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  Promise(done.Next(&tag, &ok), "a call ends");
  // What is no message never reaches a handler; gRPC calls that INTERNAL.
  if (valid) PromiseHandled(status);
}

void FarmWorld::StreamBytes(const std::string& bytes) {
  v1::WorkRequest message;
  if (!message.ParseFromString(bytes)) return;
  if (message.has_acquire_leases()) {
    message.mutable_acquire_leases()->clear_wait_seconds();
  }
  CallOverStream(message).status().IgnoreError();
}

bool FarmWorld::PutCall(const google::protobuf::Message& call,
                        v1::WorkRequest& message) {
  const auto* kinds = v1::WorkRequest::descriptor()->FindOneofByName("call");
  for (int i = 0; i < kinds->field_count(); ++i) {
    const auto* kind = kinds->field(i);
    if (kind->message_type() != call.GetDescriptor()) continue;
    message.GetReflection()->MutableMessage(&message, kind)->CopyFrom(call);
    return true;
  }
  return false;
}

void FarmWorld::TakeAnswer(const v1::WorkResponse& message,
                           google::protobuf::Message& answer) {
  const auto* kind = message.GetReflection()->GetOneofFieldDescriptor(
      message, v1::WorkResponse::descriptor()->FindOneofByName("answer"));
  Promise(kind != nullptr && kind->message_type() == answer.GetDescriptor(),
          "an answer is that of its call", message.ShortDebugString());
  answer.CopyFrom(message.GetReflection()->GetMessage(message, kind));
}

absl::StatusOr<v1::WorkResponse> FarmWorld::CallOverStream(
    v1::WorkRequest message) {
  if (stream_ == nullptr) {
    stream_ = std::make_unique<Stream>();
    stream_->calls = workers_->Work(&stream_->context);
  }
  if (message.id() == 0) message.set_id(1);
  Promise(stream_->calls->Write(message), "a stream lasts");
  if (message.call_case() == v1::WorkRequest::kCancel) {
    // Nothing waits.
    return absl::CancelledError("");
  }
  if (message.call_case() == v1::WorkRequest::CALL_NOT_SET) {
    const grpc::Status end = EndStream();
    Promise(end.error_code() == grpc::StatusCode::INVALID_ARGUMENT,
            "a message without a call ends the stream",
            ToStatus(end).ToString());
    return ToStatus(end);
  }
  v1::WorkResponse answer;
  Promise(stream_->calls->Read(&answer), "a call over a stream is answered");
  Promise(answer.id() == message.id(), "an answer has its call's number");
  const grpc::Status status(static_cast<grpc::StatusCode>(answer.error_code()),
                            answer.error_message());
  PromiseHandled(status);
  if (!status.ok()) return ToStatus(status);
  return answer;
}

grpc::Status FarmWorld::EndStream() {
  v1::WorkResponse answer;
  Promise(!stream_->calls->Read(&answer), "nothing comes that nobody asked");
  const grpc::Status end = stream_->calls->Finish();
  stream_.reset();
  return end;
}

void FarmWorld::Note(
    const google::protobuf::RepeatedPtrField<v1::Lease>& leases) {
  for (const v1::Lease& lease : leases) {
    if (std::find(tokens.begin(), tokens.end(), lease.token()) !=
        tokens.end()) {
      continue;  // An answer that was repeated.
    }
    // Tokens of other calls may not be noted: only those that are compare.
    Promise(tokens.empty() || lease.token() > tokens.back(),
            "fencing tokens grow", absl::StrCat(lease.token()));
    tokens.push_back(lease.token());
  }
}

void FarmWorld::CheckTables() {
  const absl::Status read = store_->Read([&](const Reader& reader) {
    size_t running = 0;
    const auto rows = reader.ListSweeps();
    if (!rows.ok()) return rows.status();
    for (const SweepRow& sweep : *rows) {
      const auto jobs = reader.ListJobs(sweep.id);
      if (!jobs.ok()) return jobs.status();
      const auto counts = reader.CountJobs(sweep.id);
      if (!counts.ok()) return counts.status();
      SweepCounts seen;
      for (const JobRow& job : *jobs) {
        seen.pending += job.state == v1::Job::PENDING;
        seen.running += job.state == v1::Job::RUNNING;
        seen.succeeded += job.state == v1::Job::SUCCEEDED;
        seen.failed += job.state == v1::Job::FAILED;
        seen.cancelled += job.state == v1::Job::CANCELLED;
        CheckJob(reader, job);
      }
      Promise(counts->pending == seen.pending &&
                  counts->running == seen.running &&
                  counts->succeeded == seen.succeeded &&
                  counts->failed == seen.failed &&
                  counts->cancelled == seen.cancelled,
              "a sweep counts its jobs", sweep.name);
      running += static_cast<size_t>(seen.running);
    }
    Promise(queue_->Leases().size() == running, "a running job has a lease");
    for (const auto& [token, lease] : queue_->Leases()) {
      const auto attempt = reader.FindAttempt(token);
      Promise(attempt.ok() && attempt->has_value() &&
                  (*attempt)->state == v1::Attempt::RUNNING,
              "a lease is of a running attempt", absl::StrCat(token.value));
    }
    return absl::OkStatus();
  });
  Promise(read.ok(), "the tables can be read", read.ToString());
}

void FarmWorld::CheckJob(const Reader& reader, const JobRow& job) {
  const auto attempts = reader.ListAttempts(job.id);
  Promise(attempts.ok(), "attempts can be read", attempts.status().ToString());
  int running = 0, succeeded = 0, failed = 0, lost = 0;
  FencingToken last;
  for (const AttemptRow& attempt : *attempts) {
    running += attempt.state == v1::Attempt::RUNNING;
    succeeded += attempt.state == v1::Attempt::SUCCEEDED;
    failed += attempt.state == v1::Attempt::FAILED;
    lost += attempt.state == v1::Attempt::LOST;
    Promise(attempt.token > last, "a job's tokens grow", job.model);
    last = attempt.token;
  }
  const std::string name = JobName(job.sweep, job.model, job.fold);
  Promise(job.token == last, "a job names its newest attempt", name);
  Promise(job.attempt_count == static_cast<int>(attempts->size()),
          "a job counts its attempts", name);
  Promise(running == (job.state == v1::Job::RUNNING),
          "a job runs when one attempt does", name);
  Promise(running == 0 || attempts->back().state == v1::Attempt::RUNNING,
          "the newest attempt is the one that runs", name);
  const bool trained_here =
      job.state == v1::Job::SUCCEEDED && job.reused_from.value == 0;
  Promise(succeeded == trained_here,
          "a job that succeeded has one attempt that did", name);
  Promise(job.failed_count >= 0 && job.failed_count <= failed,
          "a job counts attempts that failed", name);
  Promise(job.lost_count >= 0 && job.lost_count <= lost,
          "a job counts attempts that were lost", name);
  Promise(job.slots >= 1, "a job has slots", name);
  if (trained_here) {
    const auto results = reader.ListArtifacts(job.id, ArtifactKind::kResult);
    Promise(results.ok() && !results->empty(), "a success has a result", name);
  }
  const auto [before, is_new] = before_.try_emplace(job.id, job.state);
  if (!is_new && IsFinal(before->second) && before->second != job.state) {
    Promise(person_retried && before->second != v1::Job::SUCCEEDED,
            "a final state stays until a person retries", name);
  }
  before->second = job.state;
}

}  // namespace foldfarm
