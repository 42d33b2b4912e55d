// Renderers of whole datasets.
#ifndef FOLDFARM_TESTS_WORKER_RENDER_MADE_RENDERER_H_
#define FOLDFARM_TESTS_WORKER_RENDER_MADE_RENDERER_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/spectra/prepared_dataset.h"
#include "worker/render/renderer.h"

namespace foldfarm {

// Of all samples in their order, the first `num_train` of them for training.
inline std::unique_ptr<Renderer> MakeRenderer(const PreparedDataset& dataset,
                                              const RenderOptions& options,
                                              int num_train = 1) {
  std::vector<std::string> ids;
  for (const SampleInfo& sample : dataset.header().samples) {
    ids.push_back(sample.id);
  }
  auto renderer = Renderer::Create(dataset, ids, num_train, options, "cpu");
  EXPECT_TRUE(renderer.ok()) << renderer.status();
  return *std::move(renderer);
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_RENDER_MADE_RENDERER_H_
