// A coordinator in this process with a clock that stands still, for the fuzz
// target that calls its services; and what must hold of its tables.
#ifndef FOLDFARM_TESTS_FUZZ_FARM_WORLD_H_
#define FOLDFARM_TESTS_FUZZ_FARM_WORLD_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/service/worker_service.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {

class FarmWorld {
 public:
  // With the dataset "tiny" registered, its folds' predictions stored, and
  // nothing else.
  FarmWorld();
  ~FarmWorld();

  template <typename Request, typename Response>
  absl::StatusOr<Response> Work(
      grpc::Status (v1::WorkerService::StubInterface::*method)(
          grpc::ClientContext*, const Request&, Response*),
      const Request& request) {
    v1::WorkRequest message;
    if (!over_stream || !PutCall(request, message)) {
      return Call(*workers_, method, request);
    }
    FOLDFARM_ASSIGN_OR_RETURN(const v1::WorkResponse answer,
                              CallOverStream(message));
    Response response;
    TakeAnswer(answer, response);
    return response;
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Ask(
      grpc::Status (v1::FarmService::StubInterface::*method)(
          grpc::ClientContext*, const Request&, Response*),
      const Request& request) {
    return Call(*farm_, method, request);
  }

  // Every method of the services that takes and answers one message.
  static const std::vector<const google::protobuf::MethodDescriptor*>&
  UnaryMethods();
  // Sends bytes that need not be a message. What is one may not wait: the field
  // `wait_seconds` is dropped.
  void CallWithBytes(const google::protobuf::MethodDescriptor& method,
                     const std::string& bytes);

  // Sends bytes over the stream of workers, if they are a message; it may not
  // wait, either.
  void StreamBytes(const std::string& bytes);

  // As after kill -9 and a new start.
  void Restart();
  void Advance(absl::Duration by);

  // Remembers granted tokens. They grow.
  void Note(const google::protobuf::RepeatedPtrField<v1::Lease>& leases);

  // Ends the program when the tables contradict each other, or what they were
  // at the last call.
  void CheckTables();

  // Predictions that are right for one fold or the other of a sweep "s".
  const std::vector<v1::ArtifactRef>& results() const { return results_; }

  // What the calls may name.
  std::vector<int64_t> sessions, tokens;
  std::vector<std::string> sweeps;
  // Workers' calls go over their stream, those that can.
  bool over_stream = false;
  // Final jobs may have been opened again since the last CheckTables.
  bool person_retried = false;

 private:
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) {
    grpc::ClientContext context;
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    PromiseHandled(status);
    if (!status.ok()) return ToStatus(status);
    return response;
  }
  // Puts `call` where its kind belongs; false: it is none for a stream.
  static bool PutCall(const google::protobuf::Message& call,
                      v1::WorkRequest& message);
  static void TakeAnswer(const v1::WorkResponse& message,
                         google::protobuf::Message& answer);
  absl::StatusOr<v1::WorkResponse> CallOverStream(v1::WorkRequest message);
  // How the stream ended; the next call opens another.
  grpc::Status EndStream();

  // The handler answered by itself, and not with "something is broken".
  static void PromiseHandled(const grpc::Status& status);

  void Open();
  void Close();
  void CheckJob(const Reader& reader, const JobRow& job);

  std::string folder_;
  std::vector<v1::ArtifactRef> results_;
  FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ArtifactFiles> files_;
  std::unique_ptr<JobQueue> queue_;
  RpcMetrics metrics_;
  std::unique_ptr<WorkerServiceImpl> worker_service_;
  std::unique_ptr<FarmServiceImpl> farm_service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::StubInterface> workers_;
  std::unique_ptr<v1::FarmService::StubInterface> farm_;
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<
        grpc::ClientReaderWriterInterface<v1::WorkRequest, v1::WorkResponse>>
        calls;
  };
  std::unique_ptr<Stream> stream_;
  // By job: the state at the last CheckTables.
  std::map<JobId, v1::Job::State> before_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_FUZZ_FARM_WORLD_H_
