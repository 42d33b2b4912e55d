// completion.
#include "absl/strings/str_cat.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/completion.h"

namespace foldfarm {
namespace {

// The words are cut at blanks, as the shell's own list breaks at "=" and ":".
constexpr char kBash[] = R"(# Completion of foldfarm's command line for bash.
# Now:     source <(foldfarm completion bash)
# Always:  put that line into ~/.bashrc
_foldfarm() {
  local line="${COMP_LINE:0:COMP_POINT}" kind value description path
  local -a words
  read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local current="${words[${#words[@]}-1]}" lead=""
  # Readline replaces only what follows a "=", if it breaks words there.
  if [[ $current == -*=* && $COMP_WORDBREAKS == *=* ]]; then
    lead="${current%%=*}="
  fi
  COMPREPLY=()
  {
    read -r kind
    while IFS=$'\t' read -r value description; do
      COMPREPLY+=("${value#"$lead"}")
    done
  } < <("$1" __complete "${words[@]:1}" 2>/dev/null)
  [[ $current == -*=* ]] && current="${current#*=}"
  case $kind in
    files*)
      compopt -o filenames 2>/dev/null
      while IFS= read -r path; do COMPREPLY+=("$path"); done \
        < <(compgen -f -- "$current")
      ;;
    folders*)
      compopt -o filenames 2>/dev/null
      while IFS= read -r path; do COMPREPLY+=("$path"); done \
        < <(compgen -d -- "$current")
      ;;
  esac
  [[ $kind == *nospace ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _foldfarm foldfarm
)";

constexpr char kZsh[] = R"(#compdef foldfarm
# Completion of foldfarm's command line for zsh.
# Now:     source <(foldfarm completion zsh)      (after compinit)
# Always:  foldfarm completion zsh > DIR/_foldfarm, where DIR is in $fpath
_foldfarm() {
  local -a lines described
  local kind line value found=1
  lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  kind="${lines[1]}"
  for line in "${(@)lines[2,-1]}"; do
    value="${line%%$'\t'*}"
    [[ -n $value ]] || continue
    if [[ $line == *$'\t'* ]]; then
      described+=("${value//:/\\:}:${line#*$'\t'}")
    else
      described+=("${value//:/\\:}")
    fi
  done
  if (( $#described )); then
    if [[ $kind == *nospace ]]; then
      _describe -t words foldfarm described -S '' && found=0
    else
      _describe -t words foldfarm described && found=0
    fi
  fi
  case $kind in
    files*|folders*)
      [[ $PREFIX == -*=* ]] && compset -P '*='
      if [[ $kind == files* ]]; then
        _files && found=0
      else
        _files -/ && found=0
      fi
      ;;
  esac
  return found
}
if [[ ${funcstack[1]} == _foldfarm ]]; then
  _foldfarm "$@"
elif (( $+functions[compdef] )); then
  compdef _foldfarm foldfarm
fi
)";

struct CompletionOptions {
  std::string shell;
};

absl::StatusOr<int> PrintScript(CommandContext& context,
                                const CompletionOptions& options) {
  if (context.format == OutputFormat::kJson) {
    context.console.Error("a script for a shell is no JSON; leave out -o json");
    return kExitUsage;
  }
  *context.console.out << CompletionScript(options.shell) << std::flush;
  return kExitDone;
}

}  // namespace

std::string CompletionScript(absl::string_view shell) {
  return shell == "zsh" ? kZsh : kBash;
}

void AddCompletionCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<CompletionOptions>(
      app, invocation, "completion",
      "Print a script that teaches a shell to complete foldfarm's commands, "
      "options and the farm's names",
      "foldfarm completion zsh > ~/.zfunc/_foldfarm\n"
      "  source <(foldfarm completion bash)",
      PrintScript);
  command->add_option("SHELL", options->shell, "The shell")
      ->type_name("bash|zsh")
      ->check(CLI::IsMember({"bash", "zsh"}).description(""))
      ->required();
}

}  // namespace foldfarm
