foldfarm_binary(NAME queue_bench
  SRCS queue_bench.cc queue_farm.cc
  DEPS foldfarm_base foldfarm_log foldfarm_proto foldfarm_rpc
       foldfarm_tensorfile CLI11::CLI11)
add_dependencies(queue_bench foldfarm-coordinator)
