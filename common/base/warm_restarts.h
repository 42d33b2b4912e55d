// When a learning rate with warm restarts (Loshchilov & Hutter, SGDR, 2017)
// begins anew.
#ifndef FOLDFARM_COMMON_BASE_WARM_RESTARTS_H_
#define FOLDFARM_COMMON_BASE_WARM_RESTARTS_H_

namespace foldfarm {

// A stretch of epochs from the peak to the floor.
struct RestartPeriod {
  int begin = 0;  // Epochs before it; 0: the first one.
  int epochs = 1;
};

// The one that an epoch, from 0, is in. The first has `epochs`, each later one
// int(epochs of the former * mult). REQUIRES: epochs >= 1, mult >= 1. Pure.
inline RestartPeriod PeriodOf(int epoch, int epochs, double mult) {
  RestartPeriod period{0, epochs};
  while (epoch - period.begin >= period.epochs) {
    period.begin += period.epochs;
    period.epochs = static_cast<int>(period.epochs * mult);
  }
  return period;
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_WARM_RESTARTS_H_
