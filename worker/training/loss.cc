#include "worker/training/loss.h"

#include <torch/torch.h>

namespace foldfarm {
namespace {

// Powers below one have no slope at zero; a focusing factor this small costs
// nothing.
constexpr double kSmallest = 1e-12;

// -y * positive - (1 - y) * negative, its mean.
at::Tensor Mean(const at::Tensor& labels, at::Tensor positive,
                const at::Tensor& negative,
                const at::Tensor& positive_weights) {
  if (positive_weights.defined()) positive = positive * positive_weights;
  return (labels * positive + (1 - labels) * negative).mean().neg();
}

at::Tensor FocalLoss(const TrainOptions& options, const at::Tensor& logits,
                     const at::Tensor& labels,
                     const at::Tensor& positive_weights) {
  // log p and log(1 - p): differences of large numbers never arise.
  const at::Tensor log_p = at::log_sigmoid(logits);
  const at::Tensor log_q = at::log_sigmoid(-logits);
  const bool weighted = options.focal_alpha > 0;
  const double positive_share = weighted ? options.focal_alpha : 1;
  const double negative_share = weighted ? 1 - options.focal_alpha : 1;
  const double gamma = options.focal_gamma;
  return Mean(labels, (log_q * gamma).exp() * log_p * positive_share,
              (log_p * gamma).exp() * log_q * negative_share, positive_weights);
}

at::Tensor AsymmetricLoss(const TrainOptions& options, const at::Tensor& logits,
                          const at::Tensor& labels,
                          const at::Tensor& positive_weights) {
  const at::Tensor log_p = at::log_sigmoid(logits);
  const at::Tensor log_q = at::log_sigmoid(-logits);
  const double margin = options.asymmetric_margin;
  at::Tensor positive = log_p;
  if (options.asymmetric_gamma_pos > 0) {
    positive = (log_q * options.asymmetric_gamma_pos).exp() * log_p;
  }
  at::Tensor negative = log_q;
  if (margin > 0) {
    negative = (at::sigmoid(-logits) + margin).clamp_max(1).log();
  }
  if (options.asymmetric_gamma_neg > 0) {
    const at::Tensor shifted =
        (at::sigmoid(logits) - margin).clamp_min(kSmallest);
    negative = shifted.pow(options.asymmetric_gamma_neg) * negative;
  }
  return Mean(labels, positive, negative, positive_weights);
}

}  // namespace

at::Tensor TrainingLoss(const TrainOptions& options, const at::Tensor& logits,
                        at::Tensor& labels,
                        const at::Tensor& positive_weights) {
  labels.div_(1 + 2 * options.label_smoothing).add_(options.label_smoothing);
  switch (options.loss) {
    case LossKind::kFocal:
      return FocalLoss(options, logits, labels, positive_weights);
    case LossKind::kAsymmetric:
      return AsymmetricLoss(options, logits, labels, positive_weights);
    case LossKind::kBce:
      break;
  }
  if (!positive_weights.defined()) {
    return at::binary_cross_entropy_with_logits(logits, labels);
  }
  return at::binary_cross_entropy_with_logits(logits, labels, /*weight=*/{},
                                              positive_weights);
}

}  // namespace foldfarm
