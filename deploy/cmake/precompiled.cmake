# Precompiled headers of the farm's programs and of their tests.
#
# Most of what such a unit compiles is not ours: gRPC, Protobuf, CLI11, spdlog
# and GoogleTest. Third-party headers only stand here, so that no change of ours
# makes everything new. (Torch has its own: worker/render.)
#
#   foldfarm_uses_headers(KIND TARGET)
#
# KIND is farm; cli, with CLI11; or test, with GoogleTest. The last two are
# compiled with -O1, since nobody waits for their code but the compiler.

add_library(foldfarm_farm_headers INTERFACE)
target_link_libraries(foldfarm_farm_headers INTERFACE
  foldfarm_options protobuf::libprotobuf gRPC::grpc++ spdlog::spdlog
  nlohmann_json::nlohmann_json absl::any_invocable absl::flat_hash_map
  absl::flat_hash_set absl::status absl::statusor absl::strings
  absl::str_format absl::synchronization absl::time Threads::Threads)

set(farm_headers
  <algorithm> <functional> <map> <memory> <optional> <string> <utility>
  <vector>
  <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
  <absl/functional/any_invocable.h> <absl/status/statusor.h>
  <absl/strings/str_cat.h> <absl/strings/str_format.h>
  <absl/strings/str_join.h> <absl/strings/str_split.h>
  <absl/synchronization/mutex.h> <absl/time/time.h>
  <google/protobuf/map.h> <google/protobuf/message.h>
  <google/protobuf/struct.pb.h> <google/protobuf/timestamp.pb.h>
  <grpcpp/grpcpp.h> <nlohmann/json.hpp> <spdlog/spdlog.h>)

add_library(foldfarm_cli_headers INTERFACE)
target_link_libraries(foldfarm_cli_headers INTERFACE
  foldfarm_farm_headers CLI11::CLI11)
add_library(foldfarm_test_headers INTERFACE)
target_link_libraries(foldfarm_test_headers INTERFACE foldfarm_farm_headers)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(foldfarm_cli_headers INTERFACE -O1)
  target_compile_options(foldfarm_test_headers INTERFACE -O1)
endif()

function(foldfarm_precompile KIND)
  set(unit ${CMAKE_CURRENT_BINARY_DIR}/${KIND}_pch.cc)
  file(WRITE ${unit} "")
  add_library(foldfarm_${KIND}_pch OBJECT ${unit})
  target_link_libraries(foldfarm_${KIND}_pch PRIVATE foldfarm_${KIND}_headers)
  target_precompile_headers(foldfarm_${KIND}_pch PRIVATE
                            ${farm_headers} ${ARGN})
endfunction()

foldfarm_precompile(farm)
foldfarm_precompile(cli <CLI/CLI.hpp>)
if(FOLDFARM_TESTS)
  target_link_libraries(foldfarm_test_headers INTERFACE GTest::gmock
                        GTest::gtest)
  foldfarm_precompile(test <gmock/gmock.h> <gtest/gtest.h>)
endif()

function(foldfarm_uses_headers KIND TARGET)
  target_link_libraries(${TARGET} PRIVATE foldfarm_${KIND}_headers)
  target_precompile_headers(${TARGET} REUSE_FROM foldfarm_${KIND}_pch)
endfunction()
