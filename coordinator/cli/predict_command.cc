// predict.
#include <string>
#include <vector>

#include "common/base/option_checks.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/prediction.h"

namespace foldfarm {

void AddPredictCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<PredictOptions>(
      app, invocation, "predict",
      "Predict samples with a sweep's models, as jobs on the farm, and write a "
      "submission: sample_id and a probability a label, shrunk by instrument "
      "(0.002, SAM testbed 0.01), 6 decimals. Ctrl-C leaves the jobs running; "
      "the same command again fetches the result, and costs nothing when it is "
      "there.",
      "foldfarm predict s3 --data mars/ --split test --tta 16 --out "
      "submission.csv\n"
      "  foldfarm predict s3 --models greedy:8 --tta 1,4,16 --out sub.csv",
      RunPrediction);
  command
      ->add_option("SWEEP|BUNDLE", options->source,
                   "Id or name of a sweep, or the folder of a bundle, whose "
                   "files are uploaded")
      ->type_name("")
      ->required();
  CLI::Option* data =
      command
          ->add_option("--data", options->data.directory,
                       "Folder in the competition's layout; what is asked for "
                       "is imported on the way, unless the farm has it")
          ->type_name("DIR");
  command
      ->add_option("--dataset", options->data.dataset,
                   "Name of a dataset on the farm (default: the sweep's)")
      ->type_name("NAME")
      ->excludes(data);
  CLI::Option* split =
      command
          ->add_option("--split", options->data.splits,
                       "Samples of these splits: train, val, test (default: "
                       "test). The networks were trained on those of train: "
                       "for honest figures use foldfarm oof")
          ->type_name("SPLIT,...")
          ->delimiter(',')
          ->allow_extra_args(false);
  command
      ->add_option("--samples", options->data.samples, "These samples instead")
      ->type_name("ID,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes(split);
  command
      ->add_option("--tta", options->tta,
                   "Draws a sample, averaged (default: the sweep's). Of "
                   "several, the largest is predicted once and written to "
                   "OUT.csv, the others come from its first draws and go to "
                   "OUT.ttaN.csv")
      ->type_name("N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(InRange(1, 256));
  command->add_option("--out", options->out, "The file to write")
      ->type_name("OUT.csv")
      ->required();
  command
      ->add_option("--format", options->format,
                   "A submission_format.csv: which rows and columns to write, "
                   "in its order (default: the one in DIR, if it names any "
                   "of the samples)")
      ->type_name("FILE");
  command
      ->add_option("--fill", options->fill,
                   "What rows of the format hold whose samples have no "
                   "prediction: prior, each label's prevalence among the "
                   "samples trained on (default: they are left out)")
      ->type_name("prior")
      ->check(CLI::IsMember({"prior"}).description(""));
  command
      ->add_option("--models", options->models,
                   "Only these; greedy:N takes the N by which the ensemble "
                   "grows best (default: all that are complete)")
      ->type_name("NAME,...");
  command
      ->add_option(
          "--weights", options->weights,
          "How much each model counts; greedy and least-log-loss fit "
          "the weights to the out-of-fold predictions of the models "
          "that predict (default: equal; a bundle's own without --models)")
      ->type_name("equal|greedy|least-log-loss")
      ->check(
          CLI::IsMember({"equal", "greedy", "least-log-loss"}).description(""));
  command
      ->add_option("--shares", options->shares,
                   "Parts that the samples are cut into, each a job for every "
                   "model and fold (default: of about 100 samples)")
      ->type_name("N")
      ->check(InRange(1, 10000));
  command
      ->add_option("--priority", options->priority,
                   "-1000 to 1000, larger is served first")
      ->type_name("P")
      ->check(InRange(-1000, 1000));
  command->add_flag("--no-reuse", options->no_reuse,
                    "Predict again even what has a result already");
  command->parse_complete_callback([options = options] {
    if (options->data.splits.empty() && options->data.samples.empty()) {
      options->data.splits = {"test"};
    }
  });
}

}  // namespace foldfarm
