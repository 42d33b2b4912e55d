// The comments of sweep.proto, at run time.
//
// Immutable; thread-safe.
#ifndef FOLDFARM_COMMON_SWEEP_OPTION_COMMENTS_H_
#define FOLDFARM_COMMON_SWEEP_OPTION_COMMENTS_H_

#include <map>
#include <string>

namespace foldfarm {

// sweep.proto as protoc's descriptor set with source info, as it was when this
// was built.
extern const unsigned char kSweepDescriptors[];
extern const int kSweepDescriptorsSize;

class OptionComments {
 public:
  // Of kSweepDescriptors.
  static const OptionComments& Get();

  // The comment before a message ("TrainSpec"), a field ("TrainSpec.epochs"),
  // an enum's value ("Loss.LOSS_BCE") on one line; "" when there is none.
  std::string Of(const std::string& name) const;

 private:
  OptionComments();
  std::map<std::string, std::string> comments_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_OPTION_COMMENTS_H_
