if(NOT FOLDFARM_ONLY_TRAINER)
  foldfarm_binary(NAME import_bench
    SRCS ${CMAKE_CURRENT_LIST_DIR}/import_bench.cc
    DEPS foldfarm_spectra)
endif()
