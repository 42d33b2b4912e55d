#include "coordinator/cli/token_commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/tokens.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/json_summary.h"

namespace foldfarm {
namespace {

struct NewTokenOptions {
  std::string role;
  std::string name;
  std::string add_to;
};

// What a token file has to say before `token` is added to it; nothing when it
// is not there.
// Errors: those of the file; ALREADY_EXISTS when role and name stand in it;
// whatever is wrong with the lines that it has.
absl::StatusOr<std::string> LinesBefore(const std::string& path,
                                        const KnownToken& token) {
  if (!FileExists(path)) return std::string();
  FOLDFARM_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  if (text.empty()) return text;
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<KnownToken> known,
                            ReadTokenFile(path));
  for (const KnownToken& other : known) {
    if (other.role != token.role || other.name != token.name) continue;
    return absl::AlreadyExistsError(absl::StrCat(
        path, ": has a token for ", RoleName(token.role), " ", token.name,
        "; delete that line to replace it, or choose another --name"));
  }
  if (!absl::EndsWith(text, "\n")) absl::StrAppend(&text, "\n");
  return text;
}

// Puts `line` at the end of a token file, which is made if need be.
// Errors: those of LinesBefore and of writing.
absl::Status AddLine(const std::string& path, const KnownToken& token,
                     const std::string& line) {
  // A new file beside the old one, so that a coordinator never reads half, nor
  // two that add to it at once lose a line.
  const std::string part = absl::StrCat(path, ".new");
  const int fd =
      open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
           S_IRUSR | S_IWUSR);
  if (fd < 0 && errno == EEXIST) {
    return absl::AlreadyExistsError(
        absl::StrCat(part,
                     " is there: somebody adds a token right now; if it "
                     "stays, nobody does: delete it and repeat"));
  }
  if (fd < 0) return ErrnoStatus(part, "cannot create");
  absl::StatusOr<std::string> lines = LinesBefore(path, token);
  absl::Status status = lines.status();
  const std::string text =
      absl::StrCat(status.ok() ? *lines : std::string(), line, "\n");
  struct stat old;
  if (stat(path.c_str(), &old) == 0) {
    // The coordinator's user goes on reading it.
    if (fchmod(fd, old.st_mode & 0770) != 0 ||
        (fchown(fd, old.st_uid, old.st_gid) != 0 && geteuid() == 0)) {
      status = ErrnoStatus(part, "cannot set its owner");
    }
  }
  size_t done = 0;
  while (status.ok() && done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) status = ErrnoStatus(part, "cannot write");
    if (n > 0) done += static_cast<size_t>(n);
  }
  close(fd);
  if (status.ok()) status = PublishFile(part, path);
  if (!status.ok()) unlink(part.c_str());
  return status;
}

// The token that `line` stands for, of what --role and --name said.
// Errors: INVALID_ARGUMENT saying what is wrong with the name.
absl::StatusOr<KnownToken> ParseNewLine(const NewTokenOptions& options,
                                        const std::string& line) {
  if (options.name.empty() ||
      options.name.find_first_of(" \t\r\n\v\f") != options.name.npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("--name is \"", absl::Utf8SafeCEscape(options.name),
                     "\", expected one word: a name has no spaces"));
  }
  constexpr char kSource[] = "--name";
  const auto parsed = ParseTokens(line, kSource);
  if (parsed.ok()) return parsed->front();
  // There is but one line, and nobody wrote it into a file.
  absl::string_view said = parsed.status().message();
  absl::ConsumePrefix(&said, absl::StrCat(kSource, ":1: "));
  return absl::Status(parsed.status().code(),
                      absl::StrCat(kSource, ": ", said));
}

absl::StatusOr<int> NewTokenCommand(CommandContext& context,
                                    const NewTokenOptions& options) {
  const std::string token = NewToken();
  const std::string line = TokenLine(
      ParseRole(options.role).value_or(Role::kReadOnly), options.name, token);
  FOLDFARM_ASSIGN_OR_RETURN(const KnownToken known,
                            ParseNewLine(options, line));
  if (options.add_to.empty()) {
    context.console.Note(absl::StrCat(
        "Add this line to the coordinator's --tokens file:\n  ", line));
  } else {
    // What is wrong with the file is said before there is a token to use.
    FOLDFARM_RETURN_IF_ERROR(LinesBefore(options.add_to, known).status());
  }
  context.console.Note(
      "The token, shown this once; keep it in a file that only its user reads "
      "(--token-file), or in FOLDFARM_TOKEN:");
  std::ostream& out = *context.console.out;
  if (context.format == OutputFormat::kJson) {
    PrintSummary(context, {{"role", options.role},
                           {"name", options.name},
                           {"token", token},
                           {"line", line}});
  } else {
    out << token << std::endl;
  }
  if (options.add_to.empty()) return kExitDone;
  // Added only now, so that no line stands for a token that nobody has; also
  // when SIGPIPE ends the program right above.
  if (!out.good()) {
    return absl::InternalError(
        absl::StrCat("the token cannot be printed, so ", options.add_to,
                     " is left as it is; make another one"));
  }
  FOLDFARM_RETURN_IF_ERROR(
      Annotate(AddLine(options.add_to, known, line),
               "the token is printed but not added, so it is of no use"));
  context.console.Note(absl::StrCat(
      "Added ", options.role, " ", options.name, " to ", options.add_to,
      "; a running coordinator takes it up by itself"));
  return kExitDone;
}

}  // namespace

void AddTokenCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* token =
      app.add_subcommand("token", "Tokens for people, workers and screens");
  token->require_subcommand(1);
  const auto [command, options] = AddCommand<NewTokenOptions>(
      *token, invocation, "new",
      "Make a token and the coordinator's line for it",
      "umask 077; foldfarm token new --role worker --name gpu1 --add-to tokens "
      ">gpu1.token\n\n"
      "Roles: client (everything that foldfarm does), worker (takes jobs as "
      "NAME or\nNAME-ANYTHING; a NAME that ends in * stands for all that begin "
      "so), read-only.",
      NewTokenCommand);
  command->add_option("--role", options->role, "What its holder may do")
      ->required()
      ->check(CLI::IsMember({"client", "worker", "read-only"}).description(""))
      ->type_name("client|worker|read-only");
  command->add_option("--name", options->name, "Who holds it")
      ->required()
      ->type_name("NAME");
  command
      ->add_option("--add-to", options->add_to,
                   "Token file of the coordinator to add the line to; made "
                   "if it is missing")
      ->type_name("FILE");
}

}  // namespace foldfarm
