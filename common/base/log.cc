#include "common/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"

template void fmt::detail::vformat_to<char>(
    fmt::detail::buffer<char>&, fmt::string_view,
    fmt::basic_format_args<fmt::buffer_context<char>>, fmt::detail::locale_ref);

namespace foldfarm {

absl::Status InitLog(const std::string& program, const std::string& level,
                     const std::string& file) {
  const spdlog::level::level_enum parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return absl::InvalidArgumentError(
        absl::StrCat("log level is \"", level,
                     "\", expected trace, debug, info, warning, error or off"));
  }
  try {
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    }
    auto logger = std::make_shared<spdlog::logger>(program, sink);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %n %v");
    logger->set_level(parsed);
    // A coordinator writes thousands of lines a second when it is busy; what is
    // of no consequence may come a second late.
    logger->flush_on(spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
    spdlog::flush_every(std::chrono::seconds(1));
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot log to ", file, ": ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
