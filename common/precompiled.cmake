# Headers that most units include and that no day's work changes, compiled once:
# parsing them is more than half of a unit's time. Torch has its own, in
# worker/render.
#
#   foldfarm_pch       for libraries and programs
#   foldfarm_pch_quick the same for code that is compiled with less care
#   foldfarm_pch_test  with GoogleTest, for tests
#
# A unit still includes what it uses: the preset `clang` compiles without this.
set(foldfarm_pch_headers
  <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <cstdio> <cstdlib>
  <cstring> <deque> <fstream> <functional> <iostream> <limits> <map> <memory>
  <mutex> <numeric> <optional> <random> <regex> <set> <sstream> <string>
  <string_view> <thread> <tuple> <unordered_map> <utility> <variant> <vector>
  <absl/algorithm/container.h> <absl/base/thread_annotations.h>
  <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
  <absl/functional/any_invocable.h> <absl/functional/function_ref.h>
  <absl/status/status.h> <absl/status/statusor.h> <absl/strings/ascii.h>
  <absl/strings/escaping.h> <absl/strings/match.h> <absl/strings/numbers.h>
  <absl/strings/str_cat.h> <absl/strings/str_format.h>
  <absl/strings/str_join.h> <absl/strings/str_split.h>
  <absl/synchronization/mutex.h> <absl/synchronization/notification.h>
  <absl/time/clock.h> <absl/time/time.h> <absl/types/span.h>
  <grpcpp/grpcpp.h> <nlohmann/json.hpp> <spdlog/spdlog.h>
  <foldfarm/v1/artifact.grpc.pb.h> <foldfarm/v1/farm.grpc.pb.h>
  <foldfarm/v1/worker.grpc.pb.h>)

# What the headers are compiled with and their users must be, too.
set(foldfarm_pch_needs protobuf::libprotobuf gRPC::grpc++ spdlog::spdlog
    nlohmann_json::nlohmann_json)

function(foldfarm_add_pch NAME)
  cmake_parse_arguments(ARG "" "" "HEADERS;OPTIONS;DEPS" ${ARGN})
  set(source ${CMAKE_BINARY_DIR}/${NAME}.cc)
  file(WRITE ${source} "")
  add_library(${NAME} OBJECT ${source})
  target_link_libraries(${NAME} PRIVATE foldfarm_options foldfarm_proto
                        ${foldfarm_pch_needs} ${ARG_DEPS})
  target_compile_options(${NAME} PRIVATE ${ARG_OPTIONS})
  target_precompile_headers(${NAME} PRIVATE ${foldfarm_pch_headers}
                            ${ARG_HEADERS})
endfunction()

function(foldfarm_add_pchs)
  foldfarm_add_pch(foldfarm_pch)
  foldfarm_add_pch(foldfarm_pch_quick OPTIONS ${foldfarm_quick_build})
  if(FOLDFARM_TESTS)
    foldfarm_add_pch(foldfarm_pch_test HEADERS <gmock/gmock.h> <gtest/gtest.h>
                     OPTIONS ${foldfarm_quick_build} DEPS GTest::gmock)
  endif()
endfunction()

# foldfarm_precompile(TARGET PCH): TARGET uses PCH where there is one.
function(foldfarm_precompile TARGET PCH)
  if(NOT TARGET ${PCH})
    return()
  endif()
  foreach(need IN LISTS foldfarm_pch_needs)
    target_compile_definitions(${TARGET} PRIVATE
      $<TARGET_PROPERTY:${need},INTERFACE_COMPILE_DEFINITIONS>)
  endforeach()
  target_precompile_headers(${TARGET} REUSE_FROM ${PCH})
endfunction()
