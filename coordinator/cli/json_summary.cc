#include "coordinator/cli/json_summary.h"

#include <ostream>

#include "common/base/json_text.h"

namespace foldfarm {

void PrintSummary(const CommandContext& context,
                  const nlohmann::ordered_json& summary) {
  if (context.format != OutputFormat::kJson) return;
  *context.console.out << JsonText(summary, 1) << std::endl;
}

}  // namespace foldfarm
