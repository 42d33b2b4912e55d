// Bidirectional LSTM and GRU over the 80 temperatures.
//
// The layers are called "lstm" whichever the cell, as the recipe's authors call
// them. The last layer sees the outputs of both directions at the
// last temperature.
#include <torch/torch.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"

namespace foldfarm {
namespace {

class Rnn : public torch::nn::Module, public Model {
 public:
  Rnn(const RnnOptions& options, int num_labels) : options_(options) {
    if (options.cell == RnnCell::kLstm) {
      lstm_ = register_module(
          "lstm", torch::nn::LSTM(Configure<torch::nn::LSTMOptions>()));
    } else {
      gru_ = register_module(
          "lstm", torch::nn::GRU(Configure<torch::nn::GRUOptions>()));
    }
    fc_ = register_module("fc",
                          torch::nn::Linear(2 * options.hidden, num_labels));
  }

  at::Tensor Forward(const at::Tensor& images) override {
    const at::Tensor x = ToSequence(images);
    const at::Tensor outputs =
        lstm_ ? std::get<0>(lstm_->forward(x)) : std::get<0>(gru_->forward(x));
    const at::Tensor features = outputs.select(1, outputs.size(1) - 1);
    return fc_->forward(
        at::dropout(features, options_.head_dropout, is_training()));
  }

  torch::nn::Module& module() override { return *this; }

 private:
  template <typename Options>
  Options Configure() const {
    return Options(kSequenceFeatures, options_.hidden)
        .num_layers(options_.layers)
        .dropout(options_.layers > 1 ? options_.dropout : 0)
        .bidirectional(true)
        .batch_first(true);
  }

  const RnnOptions options_;
  torch::nn::LSTM lstm_{nullptr};
  torch::nn::GRU gru_{nullptr};
  torch::nn::Linear fc_{nullptr};
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeRnn(const RnnOptions& options,
                                               int num_labels) {
  if (options.hidden < 1 || options.layers < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.rnn: ", options.layers, " layers of ",
                     options.hidden, " units, expected at least 1 of each"));
  }
  return std::make_shared<Rnn>(options, num_labels);
}

}  // namespace foldfarm
