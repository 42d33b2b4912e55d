// The tables that ensemble_text.h puts together.
//
// Intervals have a column where the reply has them. Pure functions;
// thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_ENSEMBLE_TABLES_H_
#define FOLDFARM_COORDINATOR_CLI_ENSEMBLE_TABLES_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/cli/table.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// A table of which some columns may not be wanted.
class PartialTable {
 public:
  // Columns and whether each is wanted.
  explicit PartialTable(std::vector<std::pair<Column, bool>> columns);

  // Cells of all columns, wanted or not.
  void AddRow(std::vector<Cell> cells);
  const Table& table() const { return table_; }

 private:
  static std::vector<Column> Wanted(
      const std::vector<std::pair<Column, bool>>& columns);

  std::vector<bool> wanted_;
  Table table_;
};

// The 95 % interval as "0.1380 to 0.1620"; "-" where it has none.
std::string IntervalText(const v1::Interval& interval,
                         std::string (*format)(double));

// A heading and a table below it, after an empty line; nothing for an empty
// table.
std::string Section(const std::string& title, const Table& table, size_t width,
                    bool colour);

// A title and a number for each pair of a row and a column, in as many blocks
// of columns as the width makes necessary. Rows have the names that `names`
// says; columns are called `headers`.
std::string MatrixText(const std::string& title,
                       const std::vector<std::string>& names,
                       const std::vector<std::string>& headers,
                       const std::vector<std::vector<std::string>>& cells,
                       size_t width, bool colour);

// Models, best first; the ensemble; the prior.
Table ScoresTable(const v1::GetEnsembleResponse& reply);
Table LabelTable(const google::protobuf::RepeatedPtrField<v1::LabelScores>& of);
Table InstrumentTable(
    const google::protobuf::RepeatedPtrField<v1::InstrumentScores>& of);
// Steps of a selection; `verb` is what is done to a model, and in the first
// step `models` are left.
Table StepTable(const google::protobuf::RepeatedPtrField<v1::GrowthStep>& steps,
                const std::string& verb, int models, int change);
Table TtaTable(const v1::GetEnsembleResponse& reply);
Table ShrinkTable(const v1::GetEnsembleResponse& reply);
Table WeightingTable(const v1::GetEnsembleResponse& reply);
// The weights that each way of weighing gives the models.
Table WeightsTable(const v1::GetEnsembleResponse& reply);
Table IncompleteTable(const v1::GetEnsembleResponse& reply);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_ENSEMBLE_TABLES_H_
