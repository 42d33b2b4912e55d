// How --help looks: texts that fit into 80 columns. Examples stay in a line, as
// they are to be copied.
#ifndef FOLDFARM_COORDINATOR_CLI_HELP_FORMAT_H_
#define FOLDFARM_COORDINATOR_CLI_HELP_FORMAT_H_

#include <CLI/CLI.hpp>
#include <string>

namespace foldfarm {

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();

 protected:
  std::string make_option_desc(const CLI::Option* option) const override;
  // In the list of commands: the first sentence.
  std::string make_subcommand(const CLI::App* command) const override;
  // Above all else: the whole text.
  std::string make_description(const CLI::App* command) const override;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_HELP_FORMAT_H_
