// Collectives between threads of one process: what a group of ranks needs when a test runs all of
// them.
#pragma once

#include "worker/collective/collective.h"

#include <kj/memory.h>

#include <functional>
#include <vector>

namespace muster::testing {

// The ends of one communicator, by rank. An operation waits for the other members without a
// deadline, so that a slow machine fails no test; abort() of any end breaks all of them.
std::vector<kj::Own<worker::Collective>> makeThreadCollectives(uint32_t size);

// The communicators of a group cut `tensor` x `pipeline`; rank r is (stage r / tensor, index r %
// tensor).
struct ThreadGroup {
  ThreadGroup(uint32_t tensor, uint32_t pipeline);

  worker::Collective& world(uint32_t rank) { return *worlds_.at(rank); }
  worker::Collective& tensor(uint32_t rank) {
    return *tensors_.at(rank / tensorSize_).at(rank % tensorSize_);
  }
  worker::Collective& pipeline(uint32_t rank) {
    return *pipelines_.at(rank % tensorSize_).at(rank / tensorSize_);
  }
  uint32_t size() const { return static_cast<uint32_t>(worlds_.size()); }

  // Runs `body(rank)` of all ranks, each on a thread of its own, and waits for them. The first
  // exception breaks the group and is thrown here.
  void run(const std::function<void(uint32_t rank)>& body);

 private:
  void abort(const std::string& why);

  using Ends = std::vector<kj::Own<worker::Collective>>;
  uint32_t tensorSize_;
  Ends worlds_;
  std::vector<Ends> tensors_;    // by stage
  std::vector<Ends> pipelines_;  // by tensor index
};

}  // namespace muster::testing
