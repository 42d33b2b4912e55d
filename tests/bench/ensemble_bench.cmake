if(NOT FOLDFARM_ONLY_TRAINER)
  foldfarm_binary(NAME ensemble_bench
    SRCS ${CMAKE_CURRENT_LIST_DIR}/ensemble_bench.cc
    DEPS foldfarm_ensemble)
endif()
