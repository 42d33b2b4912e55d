#include "coordinator/service/access.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/auth_metadata_processor.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

constexpr MethodRule kReads = {.read_only = true, .client = true};
constexpr MethodRule kChanges = {.client = true};
constexpr MethodRule kWorks = {.worker = true};
constexpr MethodRule kStores = {.client = true, .worker = true};
constexpr MethodRule kFetches = {
    .read_only = true, .client = true, .worker = true};
constexpr MethodRule kOpen = {.open = true};

using Table = absl::flat_hash_map<std::string, MethodRule>;

Table MakeTable() {
  Table table;
  const auto add = [&table](absl::string_view service, MethodRule rule,
                            std::initializer_list<const char*> methods) {
    for (const char* method : methods) {
      table[absl::StrCat("/", service, "/", method)] = rule;
    }
  };
  constexpr char kFarm[] = "foldfarm.v1.FarmService";
  add(kFarm, kReads,
      {"ListDatasets", "GetDataset", "ListWeights", "ListSweeps", "GetSweep",
       "ListJobs", "GetJob", "WatchSweep", "GetLogs", "GetMetrics",
       "ListWorkers", "GetEnsemble", "GetOof", "GetPredictions"});
  // A backup holds everything and loads the disk: not for onlookers.
  add(kFarm, kChanges,
      {"RegisterDataset", "RegisterWeights", "SubmitSweep", "SubmitPrediction",
       "Cancel", "Retry", "Pause", "Resume", "SetPriority", "DrainWorker",
       "UndrainWorker", "Backup", "CollectGarbage"});
  add("foldfarm.v1.WorkerService", kWorks,
      {"Register", "AcquireLeases", "Heartbeat", "ReportProgress",
       "FinishAttempt", "Work"});
  constexpr char kArtifacts[] = "foldfarm.v1.ArtifactService";
  add(kArtifacts, kFetches, {"StatArtifact", "DownloadArtifact"});
  add(kArtifacts, kStores, {"UploadArtifact"});
  add("grpc.health.v1.Health", kOpen, {"Check", "Watch"});
  add("grpc.reflection.v1alpha.ServerReflection", kFetches,
      {"ServerReflectionInfo"});
  return table;
}

bool Allows(const MethodRule& rule, Role role) {
  switch (role) {
    case Role::kReadOnly:
      return rule.read_only;
    case Role::kClient:
      return rule.client;
    case Role::kWorker:
      return rule.worker;
  }
  return false;
}

// The first role that may, in the order in which people have them.
absl::string_view WhoMay(const MethodRule& rule) {
  if (rule.client) return RoleName(Role::kClient);
  if (rule.worker) return RoleName(Role::kWorker);
  return RoleName(Role::kReadOnly);
}

absl::string_view View(grpc::string_ref text) {
  return absl::string_view(text.data(), text.size());
}

absl::string_view View(const grpc_slice& slice) {
  return absl::string_view(
      reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
      GRPC_SLICE_LENGTH(slice));
}

// The `authorization` header of a call; empty: none.
absl::string_view HeaderOf(const grpc::CallbackServerContext& context) {
  const auto header = context.client_metadata().find("authorization");
  return header == context.client_metadata().end() ? absl::string_view()
                                                   : View(header->second);
}

class Doorkeeper final : public grpc::AuthMetadataProcessor {
 public:
  explicit Doorkeeper(TokenStore& tokens) : tokens_(tokens) {}
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*,
                       OutputMetadata*, OutputMetadata*) override {
    absl::string_view method;
    absl::string_view authorization;
    for (const auto& [key, value] : metadata) {
      if (key == ":path") method = View(value);
      if (key == "authorization") authorization = View(value);
    }
    return ToGrpc(CheckCall(tokens_, method, authorization));
  }

 private:
  TokenStore& tokens_;
};

// A plain port that asks for tokens. The C++ credentials for plain ports take
// no processor; the C ones below them do.
class PlainWithTokens final : public grpc::ServerCredentials {
 public:
  explicit PlainWithTokens(TokenStore& tokens) : tokens_(tokens) {}

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address,
                      grpc_server* server) override {
    grpc_server_credentials* credentials =
        grpc_insecure_server_credentials_create();
    grpc_server_credentials_set_auth_metadata_processor(
        credentials, {Process, nullptr, &tokens_});
    const int port =
        grpc_server_add_http2_port(server, address.c_str(), credentials);
    grpc_server_credentials_release(credentials);
    return port;
  }

  static void Process(void* state, grpc_auth_context*,
                      const grpc_metadata* metadata, size_t size,
                      grpc_process_auth_metadata_done_cb done, void* call) {
    absl::string_view method;
    absl::string_view authorization;
    for (size_t i = 0; i < size; ++i) {
      const absl::string_view key = View(metadata[i].key);
      if (key == ":path") method = View(metadata[i].value);
      if (key == "authorization") authorization = View(metadata[i].value);
    }
    const absl::Status status =
        CheckCall(*static_cast<TokenStore*>(state), method, authorization);
    done(call, nullptr, 0, nullptr, 0,
         static_cast<grpc_status_code>(status.code()),
         status.ok() ? nullptr : std::string(status.message()).c_str());
  }

  TokenStore& tokens_;
};

}  // namespace

std::optional<MethodRule> RuleOf(absl::string_view method) {
  static const auto& table = *new Table(MakeTable());
  const auto found = table.find(method);
  if (found == table.end()) return std::nullopt;
  return found->second;
}

absl::string_view BearerToken(absl::string_view authorization) {
  return absl::ConsumePrefix(&authorization, "Bearer ") ? authorization
                                                        : absl::string_view();
}

absl::Status CheckCall(TokenStore& tokens, absl::string_view method,
                       absl::string_view authorization) {
  const std::optional<MethodRule> rule = RuleOf(method);
  if (rule.has_value() && rule->open) return absl::OkStatus();
  const absl::string_view token = BearerToken(authorization);
  if (token.empty()) {
    return absl::UnauthenticatedError(
        "this coordinator asks for a token; name the file that holds yours "
        "with --token-file FILE, or put it into the environment as "
        "FOLDFARM_TOKEN. Who runs the coordinator makes one: foldfarm token "
        "new --help");
  }
  const std::optional<KnownToken> known = tokens.Find(token);
  if (!known.has_value()) {
    return absl::UnauthenticatedError(
        "this coordinator does not know the token; it may have been replaced. "
        "Ask who runs the coordinator for a new one, and look at --token-file "
        "and FOLDFARM_TOKEN");
  }
  if (!rule.has_value()) {
    return absl::PermissionDeniedError(
        absl::StrCat("no role may call ", method));
  }
  if (Allows(*rule, known->role)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "the token of \"", known->name, "\" has the role ", RoleName(known->role),
      ", which may not call ", method.substr(method.rfind('/') + 1),
      "; a token of the role ", WhoMay(*rule), " may"));
}

std::function<absl::Status()> StillMay(
    TokenStore* tokens, const grpc::CallbackServerContext& context,
    std::string method) {
  if (tokens == nullptr) return nullptr;
  return [tokens, method = std::move(method),
          header = std::string(HeaderOf(context))] {
    return CheckCall(*tokens, method, header);
  };
}

std::shared_ptr<grpc::ServerCredentials> RequireTokens(
    std::shared_ptr<grpc::ServerCredentials> tls, TokenStore& tokens) {
  if (tls == nullptr) return std::make_shared<PlainWithTokens>(tokens);
  tls->SetAuthMetadataProcessor(std::make_shared<Doorkeeper>(tokens));
  return tls;
}

absl::Status WorkerAccess::MayWork(const grpc::CallbackServerContext& context,
                                   absl::string_view worker,
                                   absl::string_view what) {
  const absl::string_view token = BearerToken(HeaderOf(context));
  const std::optional<KnownToken> known =
      token.empty() ? std::nullopt : tokens_->Find(token);
  if (!known.has_value()) {
    return absl::UnauthenticatedError("the token is no longer known");
  }
  if (MayWorkAs(known->name, worker)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      what, " \"", worker, "\", and the token is for \"", known->name,
      "\" (or names that begin with \"", absl::StripSuffix(known->name, "*"),
      absl::EndsWith(known->name, "*") ? "" : "-",
      "\"); start the worker with such a --name, or make a token for this one: "
      "foldfarm token new --role worker --name ",
      worker));
}

std::optional<std::string> WorkerAccess::NameOf(WorkerSession session) {
  {
    absl::MutexLock lock(&mu_);
    const auto known = names_.find(session);
    if (known != names_.end()) return known->second;
  }
  std::optional<std::string> found;
  const std::vector<WorkerView> workers = queue_.Workers();
  absl::MutexLock lock(&mu_);
  for (const WorkerView& worker : workers) {
    names_[worker.row.session] = worker.row.name;
    if (worker.row.session == session) found = worker.row.name;
  }
  return found;
}

absl::Status WorkerAccess::MayRegister(
    const grpc::CallbackServerContext& context, absl::string_view name) {
  if (tokens_ == nullptr) return absl::OkStatus();
  return MayWork(context, name, "the worker's name is");
}

absl::Status WorkerAccess::MayStillWork(
    const grpc::CallbackServerContext& context) {
  if (tokens_ == nullptr) return absl::OkStatus();
  return CheckCall(*tokens_, "/foldfarm.v1.WorkerService/Work",
                   HeaderOf(context));
}

absl::Status WorkerAccess::MayUseSession(
    const grpc::CallbackServerContext& context, int64_t session) {
  if (tokens_ == nullptr) return absl::OkStatus();
  const std::optional<std::string> name = NameOf(WorkerSession{session});
  if (!name.has_value()) return absl::OkStatus();
  return MayWork(context, *name, "the session is that of worker");
}

absl::Status WorkerAccess::MayUseAttempt(
    const grpc::CallbackServerContext& context, int64_t token) {
  if (tokens_ == nullptr) return absl::OkStatus();
  const std::optional<HeldLease> lease = queue_.FindLease(FencingToken{token});
  if (!lease.has_value()) return absl::OkStatus();
  const std::optional<std::string> name = NameOf(lease->session);
  if (!name.has_value()) return absl::OkStatus();
  return MayWork(context, *name, "the attempt is that of worker");
}

}  // namespace foldfarm
