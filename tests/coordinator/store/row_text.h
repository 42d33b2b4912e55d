// Rows as text, for tests that compare them whole and want to see where they
// differ.
//
// A row that gets a new field does not compile here until it is named.
#ifndef FOLDFARM_TESTS_COORDINATOR_STORE_ROW_TEXT_H_
#define FOLDFARM_TESTS_COORDINATOR_STORE_ROW_TEXT_H_

#include <optional>
#include <string>

#include "coordinator/store/rows.h"

namespace foldfarm {

// All fields by name, a line each.
std::string Text(const JobRow& row);
std::string Text(const AttemptRow& row);

// "none" when there is none.
template <typename Row>
std::string Text(const std::optional<Row>& row) {
  return row.has_value() ? Text(*row) : "none";
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_STORE_ROW_TEXT_H_
