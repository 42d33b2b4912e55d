#include "coordinator/cli/cli.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/edit_distance.h"
#include "common/rpc/client_access.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/status.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/completion.h"
#include "coordinator/cli/farm_access.h"
#include "coordinator/cli/help_format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/report_command.h"
#include "coordinator/cli/token_commands.h"

namespace foldfarm {
namespace {

constexpr char kDescription[] =
    "foldfarm trains ensembles of small models across machines.\n"
    "\n"
    "First look:  foldfarm demo\n"
    "Your data:   foldfarm run SWEEP.yaml --data DIR --dir OUT\n"
    "A farm:      foldfarm-coordinator and foldfarm-worker on your machines,\n"
    "             then foldfarm dataset import, submit, watch, ensemble";
constexpr char kFooter[] =
    "A sweep is named by its id or name (s3, mars-two), a job by\n"
    "SWEEP/MODEL/FOLD (s3/130_gru/0).\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no coordinator answers,\n"
    "130 interrupted.";

// Options that stand before or after the subcommand.
struct GlobalOptions {
  std::string coordinator = "127.0.0.1:7077";
  ClientAccess access;
  std::string output = "table";
  bool no_color = false;
};

std::vector<std::string> SubcommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return names;
}

// The first word of `arguments` from `begin` that is not an option or an
// option's value.
size_t FirstWord(const std::vector<std::string>& arguments, size_t begin) {
  for (size_t i = begin; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--coordinator" || argument == "-o" ||
        argument == "--output" || absl::StartsWith(argument, "--tls-") ||
        argument == "--token-file") {
      ++i;
    } else if (argument.empty() || argument[0] != '-') {
      return i;
    }
  }
  return arguments.size();
}

// What is wrong with a line, and whose help tells more; null: nothing is.
struct Mistake {
  const CLI::App* command = nullptr;
  std::string message;
};

// A subcommand that does not exist.
Mistake UnknownCommand(const CLI::App& app,
                       const std::vector<std::string>& arguments, size_t begin,
                       absl::string_view prefix) {
  const size_t at = FirstWord(arguments, begin);
  if (at == arguments.size()) return {};
  const std::vector<std::string> names = SubcommandNames(app);
  if (names.empty()) return {};
  if (std::find(names.begin(), names.end(), arguments[at]) != names.end()) {
    return UnknownCommand(*app.get_subcommand(arguments[at]), arguments, at + 1,
                          absl::StrCat(prefix, arguments[at], " "));
  }
  const std::string near = Nearest(arguments[at], names);
  return {&app,
          absl::StrCat("unknown command \"", prefix, arguments[at], "\"",
                       near.empty() ? ""
                                    : absl::StrCat(" (did you mean \"", prefix,
                                                   near, "\"?)"))};
}

// The deepest subcommand that was parsed.
const CLI::App& Chosen(const CLI::App& app) {
  const std::vector<CLI::App*> chosen =
      const_cast<CLI::App&>(app).get_subcommands();
  return chosen.empty() ? app : Chosen(*chosen.front());
}

// Explains an argument that no option takes.
std::string UnexpectedArgument(const CLI::App& app,
                               const std::string& argument) {
  const CLI::App& command = Chosen(app);
  std::vector<std::string> names;
  for (const CLI::App* scope : {&app, &command}) {
    for (const CLI::Option* option : scope->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back(absl::StrCat("--", name));
      }
    }
  }
  const std::string word =
      std::string(absl::string_view(argument).substr(0, argument.find('=')));
  const std::string near =
      absl::StartsWith(word, "-") ? Nearest(word, names) : "";
  return absl::StrCat(
      absl::StartsWith(word, "-") ? "unknown option \"" : "unexpected \"",
      argument, "\"",
      near.empty() ? "" : absl::StrCat(" (did you mean \"", near, "\"?)"));
}

// The option that an error of CLI11 speaks of ("--state: done not in {...}"),
// if it takes one of a few words; else null.
const CLI::Option* OptionWithChoices(const CLI::App& command,
                                     absl::string_view message) {
  for (const CLI::App* scope = &command; scope != nullptr;
       scope = scope->get_parent()) {
    for (const CLI::Option* option : scope->get_options()) {
      if (absl::StartsWith(message, option->get_name() + ": ") &&
          !Choices(option->get_type_name()).empty()) {
        return option;
      }
    }
  }
  return nullptr;
}

// `--state is "runing", expected pending, running or failed (did you mean
// "running"?)`.
std::string WrongChoice(const CLI::Option& option) {
  const std::vector<std::string> choices = Choices(option.get_type_name());
  std::string wrong;
  for (const std::string& value : option.results()) {
    const bool known = std::any_of(
        choices.begin(), choices.end(), [&](const std::string& choice) {
          return absl::EqualsIgnoreCase(choice, value);
        });
    if (!known) wrong = value;
  }
  const std::string near = Nearest(absl::AsciiStrToLower(wrong), choices);
  const std::vector<std::string> but_last(choices.begin(), choices.end() - 1);
  return absl::StrCat(
      option.get_name(), " is \"", wrong, "\", expected ",
      absl::StrJoin(but_last, ", "), but_last.empty() ? "" : " or ",
      choices.back(),
      near.empty() ? "" : absl::StrCat(" (did you mean \"", near, "\"?)"));
}

// "foldfarm dataset" of `foldfarm dataset list`; "" of `foldfarm`.
std::string ParentName(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return "";
  const std::string before = ParentName(*parent);
  return absl::StrCat(before, before.empty() ? "" : " ", parent->get_name());
}

std::string Help(const CLI::App& command) {
  return command.help(ParentName(command));
}

int UsageError(const Console& console, const CLI::App& command,
               absl::string_view message) {
  console.Error(message);
  const std::string parent = ParentName(command);
  console.Note(absl::StrCat("See ", parent, parent.empty() ? "" : " ",
                            command.get_name(), " --help."));
  return kExitUsage;
}

int ExitStatus(const Console& console, const absl::StatusOr<int>& result) {
  if (result.ok()) return *result;
  const absl::Status& status = result.status();
  if (absl::IsCancelled(status)) {
    // The terminal echoed "^C" where this line begins.
    if (console.err_redraws) *console.err << "\r\033[K";
    console.Note(std::string(status.message()));
    return kExitInterrupted;
  }
  console.Error(std::string(status.message()));
  const bool unreachable = absl::IsUnavailable(status) && !IsAnswer(status);
  return unreachable ? kExitUnreachable : kExitFailed;
}

// What is wrong with --coordinator, or "". An address of the environment is
// told when somebody is called (FarmClient): many commands call nobody.
std::string WrongAddress(const std::string& address,
                         const std::vector<std::string>& arguments) {
  const bool on_the_line = std::any_of(
      arguments.begin(), arguments.end(), [](const std::string& word) {
        return word == "--coordinator" ||
               absl::StartsWith(word, "--coordinator=");
      });
  const absl::Status status = CheckEndpoint(address);
  return status.ok() || !on_the_line
             ? ""
             : absl::StrCat("--coordinator: ", status.message());
}

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option("--coordinator", options.coordinator,
                 "The coordinator's HOST:PORT")
      ->envname("FOLDFARM_COORDINATOR")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  AddAccessFlags(app, options.access);
  app.add_option("-o,--output", options.output, "How to print results")
      ->check(CLI::IsMember({"table", "json"}).description(""))
      ->type_name("table|json")
      ->capture_default_str();
  app.add_flag("--no-color,--no-colour", options.no_color,
               "Print without colour. So do NO_COLOR=1, TERM=dumb and whatever "
               "is not a terminal, unless FORCE_COLOR=1");
}

int ParseAndRun(const std::vector<std::string>& arguments, Console console) {
  CLI::App app(kDescription, "foldfarm");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "foldfarm " FOLDFARM_VERSION);
  GlobalOptions global;
  AddGlobalOptions(app, global);
  Invocation invocation;
  AddRunCommands(app, invocation);
  AddDatasetCommands(app, invocation);
  AddWeightsCommands(app, invocation);
  AddSweepCommands(app, invocation);
  AddControlCommands(app, invocation);
  AddWatchCommand(app, invocation);
  AddJobCommands(app, invocation);
  AddEnsembleCommand(app, invocation);
  AddResultCommands(app, invocation);
  AddReportCommand(app, invocation);
  AddExportCommand(app, invocation);
  AddBundleCommand(app, invocation);
  AddExplainCommand(app, invocation);
  AddOptionsCommand(app, invocation);
  AddPredictCommand(app, invocation);
  AddRenderCommand(app, invocation);
  AddTokenCommands(app, invocation);
  AddUpkeepCommands(app, invocation);
  AddCompletionCommand(app, invocation);

  if (arguments.empty()) {
    *console.err << Help(app);
    return kExitUsage;
  }
  if (arguments[0] == "__complete") {  // The shells' scripts ask.
    const std::vector<std::string> line(arguments.begin() + 1, arguments.end());
    const char* named = std::getenv("FOLDFARM_COORDINATOR");
    const bool is_named = named != nullptr && *named != '\0';
    *console.out << CompletionText(Complete(
                        app, line,
                        CoordinatorNames(
                            line, is_named ? named : global.coordinator)))
                 << std::flush;
    return kExitDone;
  }
  std::vector<std::string> words = arguments;
  if (words[0] == "help") {  // `foldfarm help jobs` is `foldfarm jobs --help`.
    words.erase(words.begin());
    words.push_back("--help");
  }
  const Mistake unknown = UnknownCommand(app, words, 0, "");
  if (unknown.command != nullptr) {
    return UsageError(console, *unknown.command, unknown.message);
  }
  try {
    std::reverse(words.begin(), words.end());  // CLI11 takes them from the end.
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    *console.out << Help(Chosen(app)) << std::flush;
    return kExitDone;
  } catch (const CLI::CallForVersion& version) {
    *console.out << version.what() << std::endl;
    return kExitDone;
  } catch (const CLI::ExtrasError& error) {
    const std::vector<std::string> extras = app.remaining(true);
    return UsageError(console, Chosen(app),
                      extras.empty() ? error.what()
                                     : UnexpectedArgument(app, extras.front()));
  } catch (const CLI::ParseError& error) {
    // A required option may be missing because its name was mistyped.
    const std::vector<std::string> extras = app.remaining(true);
    if (!extras.empty() && absl::StartsWith(extras.front(), "-")) {
      return UsageError(console, Chosen(app),
                        UnexpectedArgument(app, extras.front()));
    }
    const CLI::Option* choice = OptionWithChoices(Chosen(app), error.what());
    return UsageError(console, Chosen(app),
                      choice == nullptr ? error.what() : WrongChoice(*choice));
  }
  if (global.no_color) console.DisableColour();
  const std::string wrong = WrongAddress(global.coordinator, arguments);
  if (!wrong.empty()) return UsageError(console, Chosen(app), wrong);
  CommandContext context{
      console,
      global.output == "json" ? OutputFormat::kJson : OutputFormat::kTable,
      global.coordinator, Clock::Real()};
  SetFarmAccess(global.coordinator, global.access);
  InterruptListener interrupts;
  return ExitStatus(console, invocation.action(context));
}

}  // namespace

int RunCli(const std::vector<std::string>& arguments, Console console) {
  DropGrpcLog();
  CheckedOutput output(*console.out);
  const int exit_status = ParseAndRun(arguments, console);
  if (output.Flush()) return exit_status;
  // Whoever closed the pipe has read enough. It comes to this only where
  // SIGPIPE is ignored.
  if (output.error() != EPIPE) {
    const char* reason =
        output.error() == 0 ? "" : std::strerror(output.error());
    console.Error(absl::StrCat("cannot write the output",
                               *reason == '\0' ? "" : ": ", reason));
  }
  return exit_status == kExitDone ? kExitFailed : exit_status;
}

}  // namespace foldfarm
