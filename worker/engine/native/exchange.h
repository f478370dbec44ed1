// Collectives on device memory: directly where the collective reads it, through host memory where
// not.
#pragma once

#include "worker/collective/collective.h"
#include "worker/engine/native/backend.h"

#include <vector>

namespace muster::worker {

// The communicators that a rank belongs to. All must outlive what uses them.
struct RankCollectives {
  Collective& world;     // all ranks of the group, by number
  Collective& tensor;    // of this rank's stage, by tensor index
  Collective& pipeline;  // of this rank's tensor index, by stage
  Collective& logits;    // as `pipeline`, in the host's memory whatever the device
};

class Exchange {
 public:
  Exchange(Backend& backend, RankCollectives collectives)
      : backend_(backend), collectives_(collectives) {}

  // Each rank's partial values become the sum over all of `tensor`.
  void sum(Activations values);
  void send(ConstActivations values, uint32_t stage);
  void receive(Activations values, uint32_t stage);
  // Shape [tensor ranks][rows][width], in host memory, on every rank of `tensor`.
  std::vector<float> gather(ConstActivations values);

 private:
  // Whether a collective can work on the backend's own memory.
  bool isDirect(const Collective& collective) const;
  // The values where `collective` can read them.
  std::span<const float> readable(const Collective& collective, ConstActivations values);
  std::vector<float> toHost(ConstActivations values);

  Backend& backend_;
  RankCollectives collectives_;
  std::vector<float> staging_;
};

}  // namespace muster::worker
