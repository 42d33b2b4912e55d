// Numbers as texts with no digit more than they need, for charts.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_NUMBER_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_NUMBER_TEXT_H_

#include <string>

namespace foldfarm {

// "1.50" becomes "1.5", "2.00" "2" and "-0.0" "0"; what has no point stays.
std::string WithoutTrailingZeros(std::string text);

// "0.125", "1,200": as few digits as the value has, at most four decimals.
std::string TickText(double value);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_NUMBER_TEXT_H_
