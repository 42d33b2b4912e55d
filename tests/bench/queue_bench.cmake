foldfarm_binary(NAME queue_bench
  DEPS foldfarm_base foldfarm_log foldfarm_proto foldfarm_rpc
       foldfarm_store foldfarm_tensorfile CLI11::CLI11)
# As the coordinator: what is measured is the farm, not its clients' allocator.
if(NOT FOLDFARM_SANITIZE)
  target_link_libraries(queue_bench PRIVATE ${FOLDFARM_TCMALLOC})
endif()
add_dependencies(queue_bench foldfarm-coordinator)
foldfarm_compile_together(queue_bench farm
  bench_server.cc flush_speed.cc queue_bench.cc queue_farm.cc)
foldfarm_compile_together(queue_bench measures
  bare_peer.cc beanstalk_peer.cc queue_measures.cc rpc_speed.cc)
