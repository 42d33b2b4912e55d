// A bundle: a folder that predicts by itself, without a farm.
//
//   bundle.json            what follows, written last
//   models/MODEL/FOLD.*    the files of every network: one a model and fold
//   MODEL_CARD.md          for people
//
// bundle.json:
//   format "foldfarm-bundle", version 1
//   name, labels (in the order of predictions)
//   preparation            version of the preparation of samples
//   tta                    draws a sample
//   shrink                 by instrument: c of p * (1 - 2c) + c
//   models                 [{name, weight, seed, labels (its own, in order),
//                            model (its options, proto3 JSON),
//                            folds: [{files: [{name, path, digest, bytes}]}]}]
//   sweep {id, name}, dataset {name, digest}, program, oof (figures)
//   digest                 SHA-256 of all the rest as compact JSON
// A file's `name` is its name in a job's result, `path` is relative to the
// folder, `digest` its SHA-256. Weights of models sum to 1.
//
// Plain values; functions are thread-safe. No Torch, no gRPC.
#ifndef FOLDFARM_COMMON_BUNDLE_BUNDLE_H_
#define FOLDFARM_COMMON_BUNDLE_BUNDLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

inline constexpr char kBundleFile[] = "bundle.json";
inline constexpr char kModelCardFile[] = "MODEL_CARD.md";

struct BundleFile {
  std::string name;
  std::string path;
  std::string digest;
  int64_t bytes = 0;
};

struct BundleModel {
  std::string name;
  double weight = 0;
  // Of the images that are drawn; the network of fold f draws with seed + f.
  uint32_t seed = 0;
  std::vector<std::string> labels;
  std::string model_json;
  std::vector<std::vector<BundleFile>> folds;
};

struct Bundle {
  std::string name;
  std::vector<std::string> labels;
  std::string preparation;
  int tta = 16;
  std::map<std::string, double> shrink;
  std::vector<BundleModel> models;
  std::string sweep_id, sweep_name;
  std::string dataset_name, dataset_digest;
  std::string program;
  std::string oof_json;  // An object.

  // The shrink constant of an instrument; 0 of an unknown one.
  double ShrinkOf(const std::string& instrument_type) const;
};

// `name` stands in messages. Errors: INVALID_ARGUMENT naming the field: not
// JSON, not a bundle, something missing, of a wrong type or impossible, a path
// that leaves the folder; FAILED_PRECONDITION for a version that this program
// does not know.
absl::StatusOr<Bundle> ParseBundle(absl::string_view json,
                                   const std::string& name);

// Reads DIRECTORY/bundle.json. Errors: also NOT_FOUND when there is none.
absl::StatusOr<Bundle> ReadBundle(const std::string& directory);

// Compares size and SHA-256 of every file with what bundle.json says.
// `progress` may be empty: bytes read, of all.
// Errors: DATA_LOSS naming the file, what it is and what it should be;
// NOT_FOUND for an absent one.
absl::Status VerifyBundle(
    const Bundle& bundle, const std::string& directory,
    const std::function<void(int64_t done, int64_t total)>& progress = {});

// bundle.json's text.
std::string BundleToJson(const Bundle& bundle);

// The path of the file called `name` in a result, or nullptr.
const BundleFile* FindFile(const std::vector<BundleFile>& files,
                           absl::string_view name);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BUNDLE_BUNDLE_H_
