// Reads every source file and keeps the house rules that no compiler keeps: who
// may include whom, who may know Torch, gRPC and SQLite, who may read the
// clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// By path from the root, with "/" between folders: the text.
using Sources = std::map<std::string, std::string>;
using Violations = std::vector<std::string>;

bool IsUnder(absl::string_view path, absl::string_view folder) {
  return absl::StartsWith(path, absl::StrCat(folder, "/"));
}

bool IsUnderAny(absl::string_view path,
                const std::vector<std::string>& folders) {
  return std::any_of(folders.begin(), folders.end(),
                     [&](const std::string& f) { return IsUnder(path, f); });
}

// What `text` includes, as written between the quotes or brackets.
std::vector<std::string> IncludesOf(absl::string_view text) {
  std::vector<std::string> includes;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "#include ")) continue;
    const size_t end = line.find_first_of("\">", 1);
    if (end != absl::string_view::npos) {
      includes.emplace_back(line.substr(1, end - 1));
    }
  }
  return includes;
}

bool IsTorch(absl::string_view include) {
  return IsUnder(include, "torch") || IsUnder(include, "ATen") ||
         IsUnder(include, "c10");
}

bool IsGrpc(absl::string_view include) {
  return IsUnder(include, "grpc") || IsUnder(include, "grpcpp") ||
         absl::EndsWith(include, ".grpc.pb.h");
}

bool IsProtobuf(absl::string_view include) {
  return IsUnder(include, "google/protobuf") ||
         absl::EndsWith(include, ".pb.h");
}

// Everything that `path` includes, directly or through our own headers.
const std::set<std::string>& Closure(
    const Sources& sources, const std::string& path,
    std::map<std::string, std::set<std::string>>& known) {
  const auto [entry, is_new] = known.emplace(path, std::set<std::string>());
  if (!is_new) return entry->second;
  std::set<std::string> all;
  for (const std::string& include : IncludesOf(sources.at(path))) {
    all.insert(include);
    if (sources.count(include) == 0) continue;
    const std::set<std::string>& below = Closure(sources, include, known);
    all.insert(below.begin(), below.end());
  }
  return known[path] = all;
}

// A folder may include these folders of ours and no others. Longest match wins;
// tests are free but for what holds everywhere.
const std::vector<std::pair<std::string, std::vector<std::string>>>&
AllowedFolders() {
  static const auto& allowed =
      *new std::vector<std::pair<std::string, std::vector<std::string>>>{
          {"common/base", {"common/base"}},
          {"common/bundle", {"common/base", "common/bundle"}},
          {"common/tensorfile", {"common/base", "common/tensorfile"}},
          {"common/weights",
           {"common/base", "common/tensorfile", "common/weights"}},
          {"common/spectra",
           {"common/base", "common/tensorfile", "common/spectra"}},
          {"common/sweep", {"common/base", "common/sweep", "foldfarm"}},
          {"common/ensemble", {"common/base", "common/ensemble"}},
          {"common/rpc", {"common/base", "common/rpc", "foldfarm"}},
          {"coordinator/store", {"common", "coordinator/store", "foldfarm"}},
          {"coordinator/queue",
           {"common", "coordinator/store", "coordinator/queue", "foldfarm"}},
          {"coordinator/cli", {"common", "coordinator/cli", "foldfarm"}},
          {"coordinator", {"common", "coordinator", "foldfarm"}},
          {"worker/agent", {"common", "worker/agent", "foldfarm"}},
          {"worker", {"common", "worker"}},
      };
  return allowed;
}

Violations CheckDirections(const Sources& sources) {
  Violations found;
  for (const auto& [path, text] : sources) {
    const std::vector<std::string>* allowed = nullptr;
    size_t longest = 0;
    for (const auto& [folder, folders] : AllowedFolders()) {
      if (!IsUnder(path, folder) || folder.size() < longest) continue;
      longest = folder.size();
      allowed = &folders;
    }
    if (allowed == nullptr) continue;
    for (const std::string& include : IncludesOf(text)) {
      const bool ours = IsUnderAny(
          include, {"common", "coordinator", "worker", "tests", "foldfarm"});
      if (ours && !IsUnderAny(include, *allowed)) {
        found.push_back(absl::StrCat(path, " includes ", include));
      }
    }
  }
  return found;
}

Violations CheckTorch(const Sources& sources) {
  // worker/init puts published weights into a network.
  const std::vector<std::string> rooms = {"worker/render", "worker/models",
                                          "worker/init", "worker/training",
                                          "worker/trainer"};
  Violations found;
  std::map<std::string, std::set<std::string>> known;
  for (const auto& [path, text] : sources) {
    const std::set<std::string>& all = Closure(sources, path, known);
    const bool trainer =
        IsUnder(path, "worker") && !IsUnder(path, "worker/agent");
    if (trainer && std::any_of(all.begin(), all.end(), IsProtobuf)) {
      found.push_back(absl::StrCat(path, " knows Protobuf"));
    }
    if (std::none_of(all.begin(), all.end(), IsTorch)) continue;
    if (std::any_of(all.begin(), all.end(), IsGrpc)) {
      found.push_back(absl::StrCat(path, " knows both Torch and gRPC"));
    }
    const bool precompiled = absl::EndsWith(path, "pch.h");
    if (!IsUnder(path, "tests") &&
        (!IsUnderAny(path, rooms) ||
         (!absl::EndsWith(path, ".cc") && !precompiled))) {
      found.push_back(absl::StrCat(path, " knows Torch"));
    }
  }
  return found;
}

Violations CheckSqlAndPolicy(const Sources& sources) {
  Violations found;
  for (const auto& [path, text] : sources) {
    for (const std::string& include : IncludesOf(text)) {
      const bool sql = absl::StrContains(include, "sqlite3");
      if ((sql && !IsUnder(path, "coordinator/store")) ||
          (IsGrpc(include) &&
           IsUnderAny(path, {"coordinator/queue", "coordinator/store"}))) {
        found.push_back(absl::StrCat(path, " includes ", include));
      }
    }
  }
  return found;
}

Violations CheckClock(const Sources& sources) {
  Violations found;
  for (const auto& [path, text] : sources) {
    // A benchmark measures; that is its purpose. A clock that jumps stands on
    // the machine's.
    if (IsUnderAny(path, {"common/base", "tests/bench"}) ||
        path == "tests/testing/jumping_clock.cc") {
      continue;
    }
    int number = 0;
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      ++number;
      line = line.substr(0, line.find("//"));
      for (const char* reading :
           {"absl::Now(", "system_clock::now", "steady_clock::now",
            "high_resolution_clock", "clock_gettime(", "gettimeofday(",
            "time(nullptr)", "time(NULL)", "time(0)"}) {
        if (absl::StrContains(line, reading)) {
          found.push_back(absl::StrCat(path, ":", number, " calls ", reading));
        }
      }
    }
  }
  return found;
}

// A context that is made by hand has no deadline until somebody thinks of one;
// CallContext asks for it.
Violations CheckCalls(const Sources& sources) {
  const std::set<std::string> makers = {"common/rpc/call_context.h",
                                        "common/rpc/channel.h"};
  Violations found;
  for (const auto& [path, text] : sources) {
    if (IsUnder(path, "tests") || makers.count(path) > 0) continue;
    int number = 0;
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      ++number;
      line = line.substr(0, line.find("//"));
      for (const char* making :
           {"grpc::ClientContext ", "<grpc::ClientContext>",
            "grpc::ClientContext(", "grpc::ClientContext{"}) {
        if (absl::StrContains(line, making)) {
          found.push_back(absl::StrCat(path, ":", number,
                                       " makes a grpc::ClientContext, expected "
                                       "a CallContext"));
        }
      }
    }
  }
  return found;
}

// No longer than this; from the first on it is said, from the second refused.
constexpr long kLongFile = 400;
constexpr long kTooLongFile = 500;

Violations CheckLength(const Sources& sources) {
  Violations found;
  for (const auto& [path, text] : sources) {
    const long lines = std::count(text.begin(), text.end(), '\n');
    if (lines > kLongFile) {
      std::cout << path << ": " << lines << " lines, should be at most "
                << kLongFile << "\n";
    }
    if (lines > kTooLongFile) {
      found.push_back(absl::StrCat(path, " has ", lines, " lines"));
    }
  }
  return found;
}

// Every source file of the tree but this one, which names what it forbids.
const Sources& Tree() {
  static const Sources& tree = *[] {
    namespace fs = std::filesystem;
    auto* sources = new Sources;
    const fs::path root = FOLDFARM_SOURCE_DIR;
    for (const char* top : {"common", "coordinator", "worker", "tests"}) {
      for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
        const fs::path& file = entry.path();
        if (file.extension() != ".h" && file.extension() != ".cc") continue;
        if (file.filename() == "layering_test.cc") continue;
        (*sources)[fs::relative(file, root).generic_string()] =
            ReadFile(file.string()).value();
      }
    }
    return sources;
  }();
  return tree;
}

TEST(LayeringTest, TheTreeIsRead) { EXPECT_GT(Tree().size(), 50u); }

TEST(LayeringTest, IncludesPointUpTheHousePlan) {
  EXPECT_THAT(CheckDirections(Tree()), IsEmpty());
}

TEST(LayeringTest, TorchStaysInTheTrainersRoomsAndApartFromGrpc) {
  EXPECT_THAT(CheckTorch(Tree()), IsEmpty());
}

TEST(LayeringTest, OnlyTheStoreKnowsSqlAndOnlyTheServiceGrpc) {
  EXPECT_THAT(CheckSqlAndPolicy(Tree()), IsEmpty());
}

TEST(LayeringTest, TheClockIsReadInOnePlace) {
  EXPECT_THAT(CheckClock(Tree()), IsEmpty());
}

TEST(LayeringTest, NoCallIsMadeWithoutAWordOnItsDeadline) {
  EXPECT_THAT(CheckCalls(Tree()), IsEmpty());
}

TEST(LayeringTest, NoFileIsTooLongToRead) {
  EXPECT_THAT(CheckLength(Tree()), IsEmpty());
}

// The rules themselves are tested on small trees that break them.

TEST(LayeringRulesTest, AnIncludeDownTheListIsFound) {
  EXPECT_THAT(
      CheckDirections(
          {{"common/base/a.h", "#include \"common/rpc/b.h\"\n"},
           {"coordinator/cli/c.cc", "#include \"coordinator/store/d.h\"\n"},
           {"worker/agent/e.cc",
            "#include \"coordinator/queue/f.h\"\n"
            "#include \"common/base/g.h\"\n"
            "#include <vector>\n"},
           {"worker/models/h.cc", "#include \"foldfarm/v1/sweep.pb.h\"\n"},
           {"common/spectra/i.cc", "#include \"tests/testing/j.h\"\n"}}),
      ElementsAre("common/base/a.h includes common/rpc/b.h",
                  "common/spectra/i.cc includes tests/testing/j.h",
                  "coordinator/cli/c.cc includes coordinator/store/d.h",
                  "worker/agent/e.cc includes coordinator/queue/f.h",
                  "worker/models/h.cc includes foldfarm/v1/sweep.pb.h"));
}

TEST(LayeringRulesTest, TorchIsFoundThroughAHeader) {
  EXPECT_THAT(
      CheckTorch(
          {{"worker/models/a.h", "#include <torch/torch.h>\n"},
           {"worker/models/a.cc", "#include \"worker/models/a.h\"\n"},
           {"worker/models/pch.h", "#include <torch/torch.h>\n"},
           {"tests/x.cc",
            "#include \"worker/models/a.h\"\n"
            "#include \"foldfarm/v1/a.grpc.pb.h\"\n"},
           {"worker/trainer/m.cc", "#include <google/protobuf/message.h>\n"}}),
      ElementsAre("tests/x.cc knows both Torch and gRPC",
                  "worker/models/a.h knows Torch",
                  "worker/trainer/m.cc knows Protobuf"));
}

TEST(LayeringRulesTest, SqlGrpcAndClocksAreFoundOutOfPlace) {
  EXPECT_THAT(CheckSqlAndPolicy(
                  {{"coordinator/queue/a.cc", "#include <sqlite3.h>\n"},
                   {"coordinator/queue/b.cc", "#include <grpcpp/grpcpp.h>\n"},
                   {"coordinator/store/c.cc", "#include <sqlite3.h>\n"}}),
              ElementsAre("coordinator/queue/a.cc includes sqlite3.h",
                          "coordinator/queue/b.cc includes grpcpp/grpcpp.h"));
  EXPECT_THAT(
      CheckClock({{"common/base/a.cc", "absl::Now()"},
                  {"worker/agent/b.cc", "int x;\nauto t = absl::Now();\n"},
                  {"worker/agent/c.cc", "// absl::Now() is not called\n"}}),
      ElementsAre("worker/agent/b.cc:2 calls absl::Now("));
}

TEST(LayeringRulesTest, AContextWithoutADeadlineIsFound) {
  EXPECT_THAT(
      CheckCalls({{"worker/agent/a.cc", "\n  grpc::ClientContext context;\n"},
                  {"worker/agent/b.cc",
                   "auto c = std::make_unique<grpc::ClientContext>();\n"},
                  {"worker/agent/c.cc",
                   "void F(grpc::ClientContext* context);\n"
                   "void G(grpc::ClientContext& context);\n"},
                  {"tests/d.cc", "grpc::ClientContext context;\n"}}),
      ElementsAre("worker/agent/a.cc:2 makes a grpc::ClientContext, expected a "
                  "CallContext",
                  "worker/agent/b.cc:1 makes a grpc::ClientContext, expected a "
                  "CallContext"));
}

TEST(LayeringRulesTest, AFileThatIsTooLongIsFound) {
  EXPECT_THAT(CheckLength({{"a.cc", std::string(501, '\n')},
                           {"b.cc", std::string(500, '\n')}}),
              ElementsAre("a.cc has 501 lines"));
}

}  // namespace
}  // namespace foldfarm
