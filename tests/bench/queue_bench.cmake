foldfarm_binary(NAME queue_bench
  SRCS beanstalk_peer.cc flush_speed.cc queue_bench.cc queue_farm.cc
  DEPS foldfarm_base foldfarm_log foldfarm_proto foldfarm_rpc
       foldfarm_tensorfile CLI11::CLI11)
add_dependencies(queue_bench foldfarm-coordinator)
