// weights import, list.
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/weights/weights_file.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/transfer.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Align = Column::Align;

constexpr size_t kMaxName = 100;

struct ImportOptions {
  std::string file;
  std::string name;
};

absl::StatusOr<int> Import(CommandContext& context,
                           const ImportOptions& options) {
  if (!IsValidName(options.name, kMaxName)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name of weights is \"", options.name,
        "\", expected letters, digits, '.', '_' and '-', at most ", kMaxName));
  }
  // What no trainer can read is not sent anywhere.
  size_t tensors = 0;
  std::string format;
  {
    FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<WeightsFile> file,
                              WeightsFile::Open(options.file));
    tensors = file->tensors().size();
    const absl::string_view name = WeightsContainerName(file->container());
    format = std::string(name.data(), name.size());
  }
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  const auto uploaded = UploadWithProgress(context.console, context.clock,
                                           client, options.file, "");
  if (absl::IsCancelled(uploaded.status())) {
    return absl::CancelledError("Stopped; nothing was registered.");
  }
  if (!uploaded.ok()) return uploaded.status();
  v1::RegisterWeightsRequest request;
  request.set_name(options.name);
  request.set_digest(uploaded->digest());
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Weights weights,
                            client.Call(&Farm::RegisterWeights, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(weights, [&](size_t, bool) {
    return absl::StrCat(
        weights.name(), ": ",
        FormatPlural(static_cast<int64_t>(tensors), "tensor"), " (", format,
        ", ", FormatBytes(weights.size_bytes()), "), SHA-256 ",
        weights.digest(),
        "\nStart from them with: init: {weights: ", weights.name(), "}\n");
  }));
  return kExitDone;
}

absl::StatusOr<int> List(CommandContext& context, const std::monostate&) {
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListWeightsResponse reply,
                            client.Call(&Farm::ListWeights, {}));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    if (reply.weights().empty()) {
      return std::string(
          "No weights. Register some: foldfarm weights import FILE --name "
          "NAME\n");
    }
    Table table({{"WEIGHTS", Align::kLeft, true},
                 {"SIZE", Align::kRight},
                 {"SHA-256"},
                 {"IMPORTED", Align::kLeft, false, 0, true}});
    const absl::Time now = context.clock.Now();
    for (const v1::Weights& weights : reply.weights()) {
      table.AddRow({weights.name(), FormatBytes(weights.size_bytes()),
                    ShortDigest(weights.digest()),
                    FormatRelative(ToTime(weights.create_time()), now)});
    }
    return table.Render(width, colour);
  }));
  return kExitDone;
}

}  // namespace

void AddWeightsCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* weights = app.add_subcommand(
      "weights", "Register and list weights that models start from");
  weights->require_subcommand(1);
  weights->footer(
      "Example:\n  foldfarm weights import resnet34.safetensors --name "
      "resnet34-imagenet");
  auto [command, options] = AddCommand<ImportOptions>(
      *weights, invocation, "import",
      "Upload a file of weights (.safetensors, or .pt of torch.save) and "
      "register it under a name for init: {weights: NAME}",
      "foldfarm weights import resnet34.safetensors --name resnet34-imagenet",
      Import);
  command->add_option("FILE", options->file, "The file")
      ->type_name("")
      ->required();
  command->add_option("--name", options->name, "Name on the farm")
      ->type_name("NAME")
      ->required();
  AddCommand<std::monostate>(*weights, invocation, "list", "List weights",
                             "foldfarm weights list -o json", List);
}

}  // namespace foldfarm
