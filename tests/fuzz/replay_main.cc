// Runs a fuzz target on files and folders of files, once each: what libFuzzer
// found once stays mended in every build. With --mutants N also on N inputs
// made of each by chance, without knowing what they reach: a short look in
// every build at what deploy/fuzz looks at for long.
//
//   fuzz_sweep [--mutants N] tests/fuzz/corpus/sweep
//   fuzz_sweep --mutant 17 FILE          that one alone
//
// A mutant is made of its file's bytes and its number: the same in every run.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "common/base/files.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {
namespace {

using Input = std::vector<uint8_t>;

// What runs, for whoever has to repeat it.
std::array<char, 1024> running;

void SayWhatRan(int signal) {
  const char before[] = "ended by a signal in: ";
  (void)!write(2, before, sizeof(before) - 1);
  (void)!write(2, running.data(), std::strlen(running.data()));
  (void)!write(2, "\n", 1);
  // By default from here on (SA_RESETHAND).
  raise(signal);
}

void Run(const Input& bytes, const std::string& name) {
  std::snprintf(running.data(), running.size(), "%s", name.c_str());
  // A copy of just that size: a sanitizer sees a byte read beyond it.
  const Input input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

// Bytes that parsers trip over: ends of ranges, signs, brackets, separators.
constexpr char kTelling[] = "\x00\xff\x7f\x80-+.,:;\"'{}[]&*\n\r\t 09eE#%/\\";

// One to eight changes: a bit, a byte, a run of bytes left out, doubled or
// taken from elsewhere.
Input Mutant(const Input& of, int number) {
  std::seed_seq seed{static_cast<size_t>(number), of.size()};
  std::mt19937 random(seed);
  const auto below = [&](size_t n) {
    return static_cast<size_t>(random()) % std::max<size_t>(n, 1);
  };
  const auto at = [&](const Input& bytes, size_t place) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(place);
  };
  Input bytes = of;
  for (size_t left = 1 + below(8); left > 0; --left) {
    if (bytes.empty()) bytes.push_back(static_cast<uint8_t>(random()));
    const size_t place = below(bytes.size());
    const size_t run = 1 + below(std::min<size_t>(bytes.size() - place, 64));
    switch (below(6)) {
      case 0:
        bytes[place] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        bytes[place] = static_cast<uint8_t>(kTelling[below(sizeof(kTelling))]);
        break;
      case 2:
        bytes.insert(at(bytes, place),
                     static_cast<uint8_t>(kTelling[below(sizeof(kTelling))]));
        break;
      case 3:
        bytes.erase(at(bytes, place), at(bytes, place + run));
        break;
      case 4: {
        const Input part(at(bytes, place), at(bytes, place + run));
        bytes.insert(at(bytes, below(bytes.size())), part.begin(), part.end());
        break;
      }
      default:
        bytes.resize(place);
    }
  }
  return bytes;
}

// Files, and the files of folders.
absl::StatusOr<std::vector<std::string>> Files(
    const std::vector<std::string>& given) {
  std::vector<std::string> paths;
  for (const std::string& path : given) {
    if (!IsDirectory(path)) {
      paths.push_back(path);
      continue;
    }
    const auto names = ListDirectory(path);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      paths.push_back(JoinPath(path, name));
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

int Main(int argc, char** argv) {
  int mutants = 0;
  int only = 0;
  std::vector<std::string> given;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word != "--mutants" && word != "--mutant") {
      given.push_back(word);
      continue;
    }
    int& number = word == "--mutants" ? mutants : only;
    if (i + 1 == argc || !absl::SimpleAtoi(argv[++i], &number) || number < 1) {
      std::fprintf(stderr, "%s: expected a number above 0 behind it\n",
                   word.c_str());
      return 2;
    }
  }
  const auto paths = Files(given);
  if (!paths.ok()) {
    std::fprintf(stderr, "%s\n", paths.status().ToString().c_str());
    return 1;
  }
  if (paths->empty()) {
    std::fprintf(stderr, "no inputs: give files or folders of them\n");
    return 2;
  }
  struct sigaction action = {};
  action.sa_handler = SayWhatRan;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    sigaction(signal, &action, nullptr);
  }
  size_t runs = 0;
  for (const std::string& path : *paths) {
    const auto text = ReadFile(path);
    if (!text.ok()) {
      std::fprintf(stderr, "%s\n", text.status().ToString().c_str());
      return 1;
    }
    const Input bytes(text->begin(), text->end());
    if (only == 0) {
      Run(bytes, path);
      ++runs;
    }
    const int first = only == 0 ? 1 : only;
    const int last = only == 0 ? mutants : only;
    for (int i = first; i <= last; ++i, ++runs) {
      Run(Mutant(bytes, i), "--mutant " + std::to_string(i) + " " + path);
    }
  }
  std::fprintf(stderr, "%zu inputs, %zu runs\n", paths->size(), runs);
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Main(argc, argv); }
