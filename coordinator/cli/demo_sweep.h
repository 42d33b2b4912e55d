// The demo's sweep, deploy/sweeps/demo.yaml, as it was when this was built.
#ifndef FOLDFARM_COORDINATOR_CLI_DEMO_SWEEP_H_
#define FOLDFARM_COORDINATOR_CLI_DEMO_SWEEP_H_

namespace foldfarm {

extern const char kDemoSweep[];

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_DEMO_SWEEP_H_
