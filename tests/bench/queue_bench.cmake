foldfarm_binary(NAME queue_bench
  SRCS queue_bench.cc
  DEPS foldfarm_service foldfarm_rpc foldfarm_log CLI11::CLI11)
