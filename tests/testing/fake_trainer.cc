// A program that speaks the attempt contract without training anything, for
// tests of whoever starts trainers.
//
// What it does is named by the model: "succeed", "wait.a" (what follows a dot
// only makes names unique). See kBehaviours at the end.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/testing/fake_probability.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

volatile sig_atomic_t stop_requested = 0;

void SayRaw(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(3, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

void Say(const Json& event) { SayRaw(absl::StrCat(JsonText(event), "\n")); }

void SayEpoch(int epoch) {
  Say(Json{{"event", "epoch"},
           {"epoch", epoch},
           {"metrics", {{"log_loss", 1.0 / epoch}, {"seconds", 0.01}}}});
}

struct Attempt {
  std::string folder;
  Json spec;

  std::string Path(absl::string_view name) const {
    return JoinPath(folder, name);
  }
  int epochs() const {
    return spec["model"].value("train", Json::object()).value("epochs", 3);
  }
};

void Write(const std::string& path, const TensorFileWriter& writer) {
  if (!WriteFileAtomically(path, writer.Serialize()).ok()) std::exit(70);
}

void WriteCheckpoint(const Attempt& attempt, int epoch) {
  const std::string name = absl::StrFormat("checkpoint-%06d", epoch);
  if (!MakeDirectories(attempt.Path(name)).ok()) std::exit(70);
  const float value = static_cast<float>(epoch);
  for (const char* file : {"weights.safetensors", "state.safetensors"}) {
    TensorFileWriter writer;
    writer.SetMetadata("epoch", absl::StrCat(epoch));
    writer.SetMetadata("job", attempt.spec.value("job", ""));
    writer.AddF32("value", {1}, {&value, 1});
    Write(attempt.Path(absl::StrCat(name, "/", file)), writer);
  }
  Say(Json{{"event", "checkpoint"}, {"epoch", epoch}, {"path", name}});
}

int ResumedEpoch(const Attempt& attempt) {
  const auto metadata =
      TensorFile::ReadMetadata(attempt.Path("checkpoint/state.safetensors"));
  return metadata.ok() ? std::atoi(metadata->at("epoch").c_str()) : 0;
}

void SayStarted(const Attempt& attempt, int resumed_epoch) {
  Say(Json{{"event", "started"},
           {"epochs", attempt.epochs()},
           {"resumed_epoch", resumed_epoch},
           {"device", attempt.spec.value("device", "?")}});
}

// By sample and label: whether the dataset says that it has the label.
std::map<std::pair<std::string, std::string>, bool> Truth(
    const std::string& path) {
  const auto file = TensorFile::Open(path);
  if (!file.ok()) std::exit(70);
  const Json samples = ParseJson((*file)->metadata().at("samples"));
  const auto labels = ParseJson((*file)->metadata().at("labels"))
                          .get<std::vector<std::string>>();
  const auto cells =
      (*file)->U8("labels", {static_cast<int64_t>(samples.size()),
                             static_cast<int64_t>(labels.size())});
  if (!cells.ok()) std::exit(70);
  std::map<std::pair<std::string, std::string>, bool> truth;
  size_t cell = 0;
  for (const Json& sample : samples) {
    const auto id = sample.at("id").get<std::string>();
    for (const std::string& label : labels) {
      truth[{id, label}] = (*cells)[cell++] != 0;
    }
  }
  return truth;
}

// The model's labels, in the dataset's order.
std::vector<std::string> LabelsOf(const Attempt& attempt) {
  std::vector<std::string> labels = {"a"};
  const auto metadata =
      TensorFile::ReadMetadata(attempt.Path("dataset.safetensors"));
  if (metadata.ok() && metadata->count("labels") > 0) {
    labels = ParseJson(metadata->at("labels")).get<std::vector<std::string>>();
  }
  const auto own =
      attempt.spec["model"].value("labels", std::vector<std::string>());
  if (!own.empty()) {
    labels.erase(std::remove_if(labels.begin(), labels.end(),
                                [&](const std::string& label) {
                                  return std::find(own.begin(), own.end(),
                                                   label) == own.end();
                                }),
                 labels.end());
  }
  return labels;
}

// Predictions of an attempt in the form that the coordinator accepts.
TensorFileWriter PredictionsFile(const Attempt& attempt,
                                 const std::string& format,
                                 const std::vector<std::string>& ids,
                                 const std::vector<std::string>& labels) {
  TensorFileWriter file;
  file.SetMetadata("format", format);
  file.SetMetadata("format_version", "1");
  file.SetMetadata("sample_ids", JsonText(Json(ids)));
  file.SetMetadata("labels", JsonText(Json(labels)));
  file.SetMetadata("job", attempt.spec.value("job", ""));
  file.SetMetadata("fold", absl::StrCat(attempt.spec.value("fold", 0)));
  return file;
}

// Gives what is true of a sample the probability `right`. 0.5: without a look
// at the dataset.
int Finish(const Attempt& attempt, float right = 0.5f) {
  const std::vector<std::string> labels = LabelsOf(attempt);
  const auto ids =
      attempt.spec.value("validationSamples", std::vector<std::string>());
  std::vector<float> values(ids.size() * labels.size(), right);
  if (right != 0.5f) {
    const auto truth = Truth(attempt.Path("dataset.safetensors"));
    for (size_t i = 0; i < values.size(); ++i) {
      const auto& id = ids[i / labels.size()];
      if (!truth.at({id, labels[i % labels.size()]})) values[i] = 1.0f - right;
    }
  }
  const auto n = static_cast<int64_t>(ids.size());
  const auto num_labels = static_cast<int64_t>(labels.size());
  TensorFileWriter oof = PredictionsFile(attempt, "foldfarm-oof", ids, labels);
  oof.AddF32("probabilities", {n, num_labels}, values);
  oof.AddF32("draws", {1, n, num_labels}, values);
  Write(attempt.Path("oof.safetensors"), oof);
  TensorFileWriter weights;
  weights.SetMetadata("job", attempt.spec.value("job", ""));
  weights.AddF32("w", {1}, {values.data(), values.empty() ? 0u : 1u});
  Write(attempt.Path("weights.safetensors"), weights);
  Say(Json{{"event", "finished"},
           {"files", {"weights.safetensors", "oof.safetensors"}},
           {"metrics", {{"log_loss", 0.693}}}});
  return 0;
}

// Predictions that are mostly right, and hardly so.
int Good(const Attempt& attempt) {
  SayStarted(attempt, 0);
  return Finish(attempt, 0.9f);
}
int Bad(const Attempt& attempt) {
  SayStarted(attempt, 0);
  return Finish(attempt, 0.6f);
}

// Predicts with the weights in the folder; the numbers are FakeProbability's,
// so that tests know them. "slow" takes 20 ms for each of the model's epochs
// and stops on request; other behaviours are not told apart.
int Predict(const Attempt& attempt, const std::string& behaviour) {
  const auto weights =
      TensorFile::ReadMetadata(attempt.Path("weights.safetensors"));
  if (!weights.ok() || FileExists(attempt.Path("oof.safetensors"))) {
    std::fprintf(stderr, "expected weights to predict with, and no OOF\n");
    return 64;
  }
  Say(Json{{"event", "started"},
           {"epochs", 1},
           {"resumed_epoch", 0},
           {"device", attempt.spec.value("device", "?")}});
  if (behaviour == "slow") {
    for (int i = 0; i < attempt.epochs(); ++i) {
      const timespec pace{0, 20'000'000};
      nanosleep(&pace, nullptr);
      if (stop_requested) return 75;
    }
  }
  const std::vector<std::string> labels = LabelsOf(attempt);
  const auto ids =
      attempt.spec.value("predictSamples", std::vector<std::string>());
  const int num_draws = attempt.spec.value("tta", 1);
  // The job that trained the network: SWEEP/MODEL/FOLD.
  const std::string network = weights->at("job");
  std::vector<float> draws, mean(ids.size() * labels.size(), 0.0f);
  for (int draw = 0; draw < num_draws; ++draw) {
    for (size_t i = 0; i < mean.size(); ++i) {
      const float p = FakeProbability(network, ids[i / labels.size()],
                                      labels[i % labels.size()], draw);
      draws.push_back(p);
      mean[i] += p / static_cast<float>(num_draws);
    }
  }
  const auto n = static_cast<int64_t>(ids.size());
  const auto num_labels = static_cast<int64_t>(labels.size());
  TensorFileWriter file =
      PredictionsFile(attempt, "foldfarm-predictions", ids, labels);
  file.AddF32("probabilities", {n, num_labels}, mean);
  file.AddF32("draws", {num_draws, n, num_labels}, draws);
  Write(attempt.Path("predictions.safetensors"), file);
  Say(Json{{"event", "epoch"}, {"epoch", 1}, {"metrics", {{"seconds", 0.01}}}});
  Say(Json{{"event", "finished"}, {"files", {"predictions.safetensors"}}});
  return 0;
}

int Succeed(const Attempt& attempt) {
  std::printf("threads %s\n", std::getenv("OMP_NUM_THREADS"));
  std::fflush(stdout);
  SayStarted(attempt, 0);
  for (int epoch = 1; epoch <= attempt.epochs(); ++epoch) SayEpoch(epoch);
  return Finish(attempt);
}

// Trains for 20 ms an epoch with a checkpoint after each; stops on request.
int Slow(const Attempt& attempt) {
  int epoch = ResumedEpoch(attempt);
  SayStarted(attempt, epoch);
  while (epoch < attempt.epochs()) {
    const timespec pace{0, 20'000'000};
    nanosleep(&pace, nullptr);
    if (stop_requested) return 75;
    SayEpoch(++epoch);
    WriteCheckpoint(attempt, epoch);
  }
  return Finish(attempt);
}

// One epoch, then waits to be stopped and leaves a checkpoint.
int Wait(const Attempt& attempt) {
  const int epoch = ResumedEpoch(attempt);
  SayStarted(attempt, epoch);
  SayEpoch(epoch + 1);
  sigset_t none;
  sigemptyset(&none);
  while (!stop_requested) sigsuspend(&none);
  WriteCheckpoint(attempt, epoch + 1);
  return 75;
}

// Two lines for the log, then as above.
int TalkAndWait(const Attempt& attempt) {
  std::printf("first words\nmore words\n");
  std::fflush(stdout);
  return Wait(attempt);
}

int IgnoreStop(const Attempt& attempt) {
  SayStarted(attempt, 0);
  while (true) pause();
}

int Garbled(const Attempt& attempt) {
  SayStarted(attempt, 0);
  SayRaw("not json\n{\"event\":\"epoch\",\"epoch\":\"one\"}\n\n[]\n");
  SayRaw("{\"event\":\"epoch\",\"epoch\":-3}\n{\"event\":\"dance\"}\n");
  SayRaw("{\"event\":\"checkpoint\",\"epoch\":1,\"path\":\"../../etc\"}\n");
  SayRaw("{\"event\":\"finished\",\"files\":[\"/etc/passwd\"]}\n");
  SayRaw(absl::StrCat("{\"event\":\"", std::string(3 << 20, 'x'), "\"}\n"));
  SayRaw(absl::StrCat(std::string(100'000, '['), "\n"));
  SayRaw("\xff\xfe\n");
  std::printf("bad utf-8 \xc3\x28 and a bell \a\n");
  std::fflush(stdout);
  std::fprintf(stderr, "%s\nno end", std::string(100'000, 'e').c_str());
  return Succeed(attempt);
}

int Fail(const Attempt& attempt, int status, const char* code) {
  SayStarted(attempt, 0);
  Say(Json{{"event", "failed"}, {"code", code}, {"message", "no such luck"}});
  std::fprintf(stderr, "the last words\n");
  return status;
}

int BadConfiguration(const Attempt& attempt) {
  return Fail(attempt, 64, "INVALID_ARGUMENT");
}
int FailPlainly(const Attempt& attempt) {
  return Fail(attempt, 70, "INTERNAL");
}
int OutOfMemory(const Attempt& attempt) {
  return Fail(attempt, 71, "RESOURCE_EXHAUSTED");
}
int StopUnasked(const Attempt& attempt) {
  SayStarted(attempt, 0);
  return 75;
}
int ExitSilently(const Attempt&) { return 0; }
int Crash(const Attempt&) { std::abort(); }
// Names a result that it never wrote.
int LoseResult(const Attempt&) {
  Say(Json{{"event", "finished"}, {"files", {"weights.safetensors"}}});
  return 0;
}

// Needs 4 MiB in its folder.
int FillDisk(const Attempt& attempt) {
  SayStarted(attempt, 0);
  const absl::Status status = WriteFileAtomically(
      attempt.Path("large"), std::string(size_t{4} << 20, 'x'));
  if (status.ok()) return Finish(attempt);
  Say(Json{{"event", "failed"},
           {"code", "RESOURCE_EXHAUSTED"},
           {"message", std::string(status.message())}});
  return 71;  // As the real one: it calls that, too, what it ran out of.
}

// Says what lies in its folder, with modes, then succeeds.
int ListFolder(const Attempt& attempt) {
  const auto names = ListDirectory(attempt.folder);
  if (!names.ok()) return 70;
  for (const std::string& name : *names) {
    struct stat info;
    if (stat(attempt.Path(name).c_str(), &info) != 0) return 70;
    std::printf("%s %o\n", name.c_str(), info.st_mode & 0777u);
  }
  std::fflush(stdout);
  SayStarted(attempt, 0);
  return Finish(attempt);
}

const std::map<std::string, int (*)(const Attempt&)> kBehaviours = {
    {"bad", Bad},
    {"bad_configuration", BadConfiguration},
    {"crash", Crash},
    {"exit_silently", ExitSilently},
    {"fail", FailPlainly},
    {"fill_disk", FillDisk},
    {"garbled", Garbled},
    {"good", Good},
    {"ignore_stop", IgnoreStop},
    {"list_folder", ListFolder},
    {"lose_result", LoseResult},
    {"out_of_memory", OutOfMemory},
    {"slow", Slow},
    {"stop_unasked", StopUnasked},
    {"succeed", Succeed},
    {"talk_and_wait", TalkAndWait},
    {"wait", Wait},
};

int Main(int argc, char** argv) {
  if (argc != 3 || std::strcmp(argv[1], "attempt") != 0) return 64;
  Attempt attempt;
  attempt.folder = argv[2];
  const auto text = ReadFile(attempt.Path("attempt.json"));
  if (!text.ok()) return 70;
  attempt.spec = ParseJson(*text);
  const std::string model = attempt.spec["model"].value("name", "");
  const std::string name =
      std::vector<std::string>(absl::StrSplit(model, '.'))[0];
  const auto behaviour = kBehaviours.find(name);
  if (behaviour == kBehaviours.end()) {
    std::fprintf(stderr, "no behaviour \"%s\"\n", name.c_str());
    return 64;
  }
  struct sigaction action = {};
  action.sa_handler = [](int) { stop_requested = 1; };
  if (name == "ignore_stop") action.sa_handler = SIG_IGN;
  sigaction(SIGTERM, &action, nullptr);
  if (name == "wait" || name == "talk_and_wait") {
    // Deliverable only in sigsuspend, so that none is missed.
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, nullptr);
  }
  if (!attempt.spec.value("predictSamples", Json::array()).empty()) {
    return Predict(attempt, name);
  }
  return behaviour->second(attempt);
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Main(argc, argv); }
