// Rotary position embedding: by which angles the pairs of a head turn at a position.
//
// A head of size d has d / 2 pairs; pair i is elements i and i + d / 2, as Hugging Face's weights
// have them. Source: Su et al., RoFormer, arXiv 2104.09864.
#pragma once

#include "base/result.h"
#include "sharding/model_spec.h"

#include <cstdint>
#include <vector>

namespace muster::worker {

// (x, y) becomes (x cos - y sin, y cos + x sin).
struct Rotation {
  float cosine = 1;
  float sine = 0;
};

class RopeTable {
 public:
  // Understands the scalings default, linear, llama3 (of Llama 3.1) and yarn (Peng et al., arXiv
  // 2309.00071). Refuses MODEL_CONFIG_INVALID for other ones and for missing factors.
  static Result<RopeTable> of(const sharding::ModelSpec& spec);

  // Appends the rotations of one position, shape [headSize / 2].
  void append(uint32_t position, std::vector<Rotation>& to) const;

 private:
  std::vector<double> frequencies_;  // radians per position; shape [headSize / 2]
  double factor_ = 1;                // of cosine and sine alike
};

}  // namespace muster::worker
