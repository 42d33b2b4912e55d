#include "coordinator/cli/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace foldfarm {
namespace {

// What ends the placeholder of a list with commas: "NAME,...".
constexpr char kMore[] = ",...";

// The line up to the word in question.
struct Line {
  const CLI::App* command = nullptr;
  std::vector<std::string> positionals;
  std::vector<const CLI::Option*> given;
  const CLI::Option* awaits_value = nullptr;  // The last option does.
  bool options_over = false;                  // After "--".
  bool wrong = false;                         // There is no such command.
};

bool IsHidden(const CLI::App& app) { return app.get_group().empty(); }

std::vector<const CLI::App*> Subcommands(const CLI::App& app) {
  return app.get_subcommands(
      [](const CLI::App* sub) { return !IsHidden(*sub); });
}

bool TakesValue(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// Of the command or of those above it.
const CLI::Option* FindOption(const CLI::App& command,
                              const std::string& word) {
  for (const CLI::App* scope = &command; scope != nullptr;
       scope = scope->get_parent()) {
    for (const CLI::Option* option : scope->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        if (word == "--" + name) return option;
      }
      for (const std::string& name : option->get_snames()) {
        if (word == "-" + name) return option;
      }
    }
  }
  return nullptr;
}

Line ReadLine(const CLI::App& app, absl::Span<const std::string> before) {
  Line line;
  line.command = &app;
  for (const std::string& word : before) {
    if (line.awaits_value != nullptr) {
      line.awaits_value = nullptr;
    } else if (!line.options_over && word == "--") {
      line.options_over = true;
    } else if (!line.options_over && word.size() > 1 && word[0] == '-') {
      const size_t equals = word.find('=');
      const CLI::Option* option =
          FindOption(*line.command, word.substr(0, equals));
      if (option == nullptr) continue;
      line.given.push_back(option);
      if (equals == word.npos && TakesValue(*option)) {
        line.awaits_value = option;
      }
    } else if (!Subcommands(*line.command).empty()) {
      if (word == "help" && line.command == &app) continue;
      const CLI::App* next = nullptr;
      for (const CLI::App* sub : Subcommands(*line.command)) {
        if (sub->get_name() == word) next = sub;
      }
      line.wrong = line.wrong || next == nullptr;
      if (next != nullptr) line.command = next;
    } else {
      line.positionals.push_back(word);
    }
  }
  return line;
}

// Collects what begins with the word that stands there.
class Collector {
 public:
  // `lead` is put before each candidate: "--dataset=".
  Collector(absl::string_view current, absl::string_view lead)
      : current_(current), lead_(lead) {}

  void Add(const std::string& word, const std::string& description = "") {
    if (!absl::StartsWith(word, current_) ||
        std::find(taken_.begin(), taken_.end(), word) != taken_.end()) {
      return;
    }
    result_.candidates.push_back({absl::StrCat(lead_, word), description});
  }
  void AddAll(const std::vector<Candidate>& candidates) {
    for (const Candidate& one : candidates) Add(one.word, one.description);
  }
  // What stands there is a list: from now on its last entry is completed, and
  // entries before it are offered no more.
  void EnterList() {
    const size_t comma = current_.rfind(',');
    if (comma == current_.npos) return;
    const std::vector<std::string> before =
        absl::StrSplit(current_.substr(0, comma), ',');
    taken_ = before;
    absl::StrAppend(&lead_, current_.substr(0, comma + 1));
    current_.erase(0, comma + 1);
  }
  const std::string& current() const { return current_; }
  Completion& result() { return result_; }

 private:
  std::string current_;
  std::string lead_;
  std::vector<std::string> taken_;
  Completion result_;
};

// Sweeps, then models, then folds: SWEEP/MODEL/FOLD step by step.
void AddJobs(const NameSource& names, Collector& collector) {
  const std::string& current = collector.current();
  const size_t first = current.find('/');
  if (first == current.npos) {
    for (const Candidate& sweep : names(NameKind::kSweep, "")) {
      collector.Add(absl::StrCat(sweep.word, "/"), sweep.description);
    }
    collector.result().goes_on = true;
    return;
  }
  const std::string sweep = current.substr(0, first);
  const bool at_fold = current.find('/', first + 1) != current.npos;
  std::string last;
  for (const Candidate& job : names(NameKind::kJob, sweep)) {
    // The coordinator names the sweep by its id.
    const std::vector<std::string> parts = absl::StrSplit(job.word, '/');
    if (parts.size() != 3) continue;
    if (at_fold) {
      collector.Add(absl::StrCat(sweep, "/", parts[1], "/", parts[2]),
                    job.description);
    } else if (parts[1] != last) {
      collector.Add(absl::StrCat(sweep, "/", parts[1], "/"));
      last = parts[1];
    }
  }
  collector.result().goes_on = !at_fold;
}

void AddModels(const NameSource& names, const std::string& sweep,
               Collector& collector) {
  std::string last;
  for (const Candidate& job : names(NameKind::kJob, sweep)) {
    const std::vector<std::string> parts = absl::StrSplit(job.word, '/');
    if (parts.size() != 3 || parts[1] == last) continue;
    collector.Add(parts[1]);
    last = parts[1];
  }
}

// What --help shows for the value: the option's type, else its own name. "..."
// is that of several.
std::string Placeholder(const CLI::Option& option) {
  std::string type = option.get_type_name();
  if (option.get_positional() && (type.empty() || type == "...")) {
    type = option.get_name();
  }
  return type;
}

void AddSweepsOrJobs(const NameSource& names, Collector& collector) {
  if (absl::StrContains(collector.current(), '/')) {
    AddJobs(names, collector);
  } else {
    collector.AddAll(names(NameKind::kSweep, ""));
  }
}

// What the name of `option` is of; nothing where it is the user's to make.
void AddNames(const CLI::Option& option, const Line& line,
              const NameSource& names, Collector& collector) {
  const CLI::App* parent = line.command->get_parent();
  const std::string group = parent == nullptr ? "" : parent->get_name();
  if (option.check_name("--dataset") ||
      (option.get_positional() && group == "dataset")) {
    collector.AddAll(names(NameKind::kDataset, ""));
  } else if (option.check_name("--weights") ||
             (option.get_positional() && group == "weights")) {
    collector.AddAll(names(NameKind::kWeights, ""));
  } else if ((option.check_name("--model") || option.check_name("--models")) &&
             !line.positionals.empty()) {
    AddModels(names, line.positionals[0], collector);
  }
}

void AddValues(const CLI::Option& option, const Line& line,
               const NameSource& names, Collector& collector) {
  using Paths = Completion::Paths;
  std::string placeholder = Placeholder(option);
  if (absl::EndsWith(placeholder, kMore)) {
    placeholder.resize(placeholder.size() - (sizeof(kMore) - 1));
    collector.EnterList();
  }
  for (const std::string& word : Choices(placeholder)) collector.Add(word);
  if (placeholder == "SWEEP") {
    collector.AddAll(names(NameKind::kSweep, ""));
  } else if (placeholder == "SWEEP|JOB") {
    AddSweepsOrJobs(names, collector);
  } else if (placeholder == "SWEEP|BUNDLE") {
    collector.AddAll(names(NameKind::kSweep, ""));
    collector.result().paths = Paths::kFolders;
  } else if (placeholder == "JOB") {
    AddJobs(names, collector);
  } else if (placeholder == "WORKER") {
    collector.AddAll(names(NameKind::kWorker, ""));
  } else if (placeholder == "NAME" || placeholder == "NAME|FILE" ||
             placeholder == "greedy:N|NAME") {
    AddNames(option, line, names, collector);
    if (placeholder == "NAME|FILE") collector.result().paths = Paths::kFiles;
  } else if (placeholder == "DIR" || placeholder == "OUT") {
    collector.result().paths = Paths::kFolders;
  } else if (placeholder == "FILE" || placeholder == "PROGRAM" ||
             placeholder == "BUNDLE" || absl::StrContains(placeholder, '.')) {
    collector.result().paths = Paths::kFiles;
  }
}

void AddOptions(const Line& line, Collector& collector) {
  for (const CLI::App* scope = line.command; scope != nullptr;
       scope = scope->get_parent()) {
    for (const CLI::Option* option : scope->get_options()) {
      if (option->get_lnames().empty() || option->get_group().empty()) continue;
      // The nearest --help, once; others unless they stand there already.
      const bool inherited = scope != line.command;
      const std::string& name = option->get_lnames()[0];
      if (inherited && (name == "help" || name == "version")) continue;
      if (std::find(line.given.begin(), line.given.end(), option) !=
              line.given.end() &&
          option->get_items_expected_max() <= 1) {
        continue;
      }
      collector.Add(absl::StrCat("--", name), option->get_description());
    }
  }
}

const CLI::Option* PositionalAt(const CLI::App& command, size_t index) {
  const CLI::Option* last = nullptr;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    last = option;
    if (index == 0) return option;
    --index;
  }
  return last != nullptr && last->get_items_expected_max() > 1 ? last : nullptr;
}

}  // namespace

std::vector<std::string> Choices(absl::string_view placeholder) {
  absl::ConsumeSuffix(&placeholder, kMore);
  std::vector<std::string> words = absl::StrSplit(placeholder, '|');
  for (const std::string& word : words) {
    if (word.empty() || !std::all_of(word.begin(), word.end(), [](char c) {
          return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' ||
                 c == '-';
        })) {
      return {};
    }
  }
  return words;
}

Completion Complete(const CLI::App& app, absl::Span<const std::string> words,
                    const NameSource& names) {
  if (words.empty()) return {};
  const std::string& current = words.back();
  const Line line = ReadLine(app, words.subspan(0, words.size() - 1));
  if (line.wrong) return {};
  if (line.awaits_value != nullptr) {
    Collector collector(current, "");
    AddValues(*line.awaits_value, line, names, collector);
    return collector.result();
  }
  if (!line.options_over && absl::StartsWith(current, "-")) {
    const size_t equals = current.find('=');
    if (equals == current.npos) {
      Collector collector(current, "");
      AddOptions(line, collector);
      return collector.result();
    }
    const CLI::Option* option =
        FindOption(*line.command, current.substr(0, equals));
    Collector collector(current.substr(equals + 1),
                        current.substr(0, equals + 1));
    if (option != nullptr) AddValues(*option, line, names, collector);
    return collector.result();
  }
  Collector collector(current, "");
  const std::vector<const CLI::App*> subcommands = Subcommands(*line.command);
  for (const CLI::App* sub : subcommands) {
    collector.Add(sub->get_name(), sub->get_description());
  }
  if (!subcommands.empty()) return collector.result();
  const CLI::Option* positional =
      PositionalAt(*line.command, line.positionals.size());
  if (positional != nullptr) {
    AddValues(*positional, line, names, collector);
  } else {
    AddOptions(line, collector);
  }
  return collector.result();
}

std::string CompletionText(const Completion& completion) {
  std::string text;
  switch (completion.paths) {
    case Completion::Paths::kNone:
      text = "words";
      break;
    case Completion::Paths::kFiles:
      text = "files";
      break;
    case Completion::Paths::kFolders:
      text = "folders";
      break;
  }
  absl::StrAppend(&text, completion.goes_on ? " nospace" : "", "\n");
  for (const Candidate& one : completion.candidates) {
    absl::StrAppend(&text, one.word);
    if (!one.description.empty()) {
      // One line, and no longer than a menu shows.
      std::string description =
          absl::StrReplaceAll(one.description, {{"\n", " "}, {"\t", " "}});
      absl::StrAppend(&text, "\t", description);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace foldfarm
