# Headers that most units of a room include and that no day's work changes,
# compiled once: parsing them is half of a unit's time. Each costs even a unit
# that does not need it, up to a second, for which nlohmann's JSON and the stubs
# of our services are left out. Torch has its own, in worker/render.
#
#   foldfarm_pch       C++, Abseil, logging: where no Protobuf is known
#   foldfarm_pch_farm  and Protobuf with our messages, and gRPC
#   foldfarm_pch_test  and GoogleTest, for tests
#
# A unit still includes what it uses: the preset `clang` compiles the farm
# without this, and -DFOLDFARM_PRECOMPILE=OFF all but Torch's header.
set(foldfarm_pch_headers
  <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <cstdio> <cstdlib>
  <cstring> <deque> <fstream> <functional> <limits> <map> <memory> <mutex>
  <numeric> <optional> <random> <set> <sstream> <string> <string_view> <thread>
  <tuple> <unordered_map> <utility> <variant> <vector>
  <absl/algorithm/container.h> <absl/container/flat_hash_map.h>
  <absl/container/flat_hash_set.h> <absl/functional/any_invocable.h>
  <absl/status/statusor.h> <absl/strings/str_format.h>
  <absl/strings/str_join.h> <absl/strings/str_split.h>
  <absl/synchronization/mutex.h> <absl/time/clock.h> <absl/time/time.h>
  <spdlog/spdlog.h>)
set(foldfarm_pch_farm_headers ${foldfarm_pch_headers}
  <foldfarm/v1/farm.pb.h> <foldfarm/v1/worker.pb.h> <grpcpp/grpcpp.h>)

# What the headers are compiled with and their users must be, too.
set(foldfarm_pch_needs protobuf::libprotobuf gRPC::grpc++ spdlog::spdlog)

# The one that libraries and programs of a room use.
set(FOLDFARM_PCH foldfarm_pch_farm)

function(foldfarm_add_pch NAME)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS" ${ARGN})
  set(source ${CMAKE_BINARY_DIR}/${NAME}.cc)
  file(WRITE ${source} "")
  add_library(${NAME} OBJECT ${source})
  target_link_libraries(${NAME} PRIVATE foldfarm_options foldfarm_proto
                        ${foldfarm_pch_needs} ${ARG_DEPS})
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    # So that ccache can tell by content whether the header is the same.
    target_compile_options(${NAME} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
  target_precompile_headers(${NAME} PRIVATE ${ARG_HEADERS})
endfunction()

function(foldfarm_add_pchs)
  foldfarm_add_pch(foldfarm_pch HEADERS ${foldfarm_pch_headers})
  foldfarm_add_pch(foldfarm_pch_farm HEADERS ${foldfarm_pch_farm_headers})
  if(FOLDFARM_TESTS)
    foldfarm_add_pch(foldfarm_pch_test
                     HEADERS ${foldfarm_pch_farm_headers} <gmock/gmock.h>
                             <gtest/gtest.h>
                     DEPS GTest::gmock)
    target_compile_options(foldfarm_pch_test PRIVATE ${foldfarm_test_build})
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

# foldfarm_compile_together(TARGET GROUP a.cc ...): adds sources to TARGET that
# are compiled as one unit, where each alone would read the same headers and
# instantiate the same templates for most of its time (Torch's take 7 s, its
# modules up to 20 s more). They must name differently what they keep to
# themselves. compile_commands.json then lists the groups;
# -DFOLDFARM_PRECOMPILE=OFF lists the units, for clangd and clang-tidy.
function(foldfarm_compile_together TARGET GROUP)
  if(NOT TARGET ${TARGET})
    return()
  endif()
  target_sources(${TARGET} PRIVATE ${ARGN})
  set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ${FOLDFARM_PRECOMPILE}
                        UNITY_BUILD_MODE GROUP)
  set_source_files_properties(${ARGN} PROPERTIES UNITY_GROUP ${GROUP})
endfunction()
