// The sweep file: YAML in, a complete SweepSpec out, or every mistake in it.
//
// 1. yaml_tree reads the text, guarded against hostile input, and keeps the
//    line and column of everything.
// 2. message_reader maps it onto SweepSpec by reflection: the names and the
//    `rule` annotations of sweep.proto are the file's grammar, so a new option
//    is one line in the proto file and nothing here.
// 3. expand makes each model complete in itself: its own options win over those
//    of the model it is `like`, these over `defaults`, these over the rules'.
//    What --set says (set_options) wins over all of them.
// 4. check_model refuses options that do not fit each other.
//
// Pure functions but for LoadSweepFile; thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_SWEEP_H_
#define FOLDFARM_COMMON_SWEEP_SWEEP_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// Returns the text of the file that `folds.file` names, as written there.
using FoldFileReader =
    std::function<absl::StatusOr<std::string>(const std::string& name)>;

// Parses, checks and expands a sweep file. `file_name` stands in messages.
//
// The result is complete: `defaults` and every `like` are empty, every option
// of every model that has a default has a value, `folds.assignment` holds the
// rows of `folds.file`. A list replaces the list it overrides; an `arch` of
// another kind replaces all options of the former kind.
//
// `sets`: KEY=VALUE each, over everything that the file says (set_options.h).
//
// Errors: INVALID_ARGUMENT with all mistakes, one "FILE:LINE:COLUMN: ..." a
// line, in the file's order, then "--set KEY=VALUE: ...". A file that is not
// YAML has one.
absl::StatusOr<v1::SweepSpec> ParseSweep(
    absl::string_view yaml, absl::string_view file_name,
    const FoldFileReader& read_fold_file = nullptr,
    const std::vector<std::string>& sets = {});

// The same for a file; `folds.file` is relative to its folder.
// Errors: also those of reading it.
absl::StatusOr<v1::SweepSpec> LoadSweepFile(
    const std::string& path, const std::vector<std::string>& sets = {});

// Parses a fold file: CSV with a header line and the columns sample_id and
// fold; others are ignored. Folds are whole numbers from 0 on, none skipped.
// Errors: INVALID_ARGUMENT with all mistakes, one "FILE:LINE: ..." a line.
absl::StatusOr<std::vector<v1::FoldAssignment>> ParseFoldFile(
    absl::string_view csv, absl::string_view file_name);

// Number of folds of an expanded sweep; 0 when it is not known, for the fold
// file was not read.
int FoldCount(const v1::FoldsSpec& folds);

// The most slots that a job may take.
int MostSlots();

inline constexpr size_t kMaxSweepName = 64;
// Whether a sweep may have this name: a valid one (IsValidName) of at most
// kMaxSweepName, which is no sweep's id. Errors: INVALID_ARGUMENT.
absl::Status CheckSweepName(absl::string_view name);

// A model as compact proto3 JSON: equal messages give equal text, on every
// machine, so that its digest can name a configuration. The name is part of it;
// clear it first where it must not count.
std::string ModelToJson(const v1::ModelSpec& model);

// All options of the sweep file as Markdown: names, types, defaults, ranges,
// units and what they mean, out of sweep.proto.
std::string DescribeOptions();

// `page` with DescribeOptions() between its two marking comments, all else as
// it was. Errors: INVALID_ARGUMENT when it lacks them.
absl::StatusOr<std::string> UpdateOptionsPage(absl::string_view page);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_SWEEP_H_
