if(FOLDFARM_TRAINER)
  foldfarm_binary(NAME trainer_bench
    SRCS ${CMAKE_CURRENT_LIST_DIR}/trainer_bench.cc
         ${CMAKE_SOURCE_DIR}/tests/worker/render/made_dataset.cc
    DEPS foldfarm_training nlohmann_json::nlohmann_json)
  foldfarm_uses_torch(trainer_bench)
  # Without Torch.
  set_source_files_properties(
    ${CMAKE_SOURCE_DIR}/tests/worker/render/made_dataset.cc
    PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endif()
