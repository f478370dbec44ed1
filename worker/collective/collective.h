// What the ranks of one group compute together: sums, gathered pieces, messages from one to
// another.
#pragma once

#include "base/units.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace muster::worker {

// A collective ended without a result: a member left, the deadline passed, or somebody aborted it.
// The communicator is of no use afterwards; the members meet again in the next generation.
class CollectiveBroken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One rank's end of a communicator. Its operations block the thread that calls them, the engine's
// own, never the event loop; all members call the same operations in the same order.
//
// Each operation throws CollectiveBroken, naming the rank that is missing and the operation, when
// it is not complete within the deadline or abort() was called.
class Collective {
 public:
  virtual ~Collective() noexcept(false) = default;

  virtual uint32_t rank() const = 0;  // within this communicator
  virtual uint32_t size() const = 0;

  // Whether the spans of its operations name device memory, of the backend it was made for, instead
  // of the host's.
  virtual bool onDevice() const { return false; }

  // Replaces `values` by the element-wise sum over all ranks. The order of addition is fixed, so
  // that every rank holds equal bits.
  virtual void allReduceSum(std::span<float> values) = 0;
  // `all` becomes the ranks' `mine` in the order of ranks. all.size() == size() * mine.size().
  virtual void allGather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  // Every rank gets the bytes of `root`; `bytes` has the same size everywhere.
  virtual void broadcast(std::span<std::byte> bytes, uint32_t root) = 0;
  // From one rank to another; both sides name the same size.
  virtual void send(std::span<const std::byte> bytes, uint32_t to) = 0;
  virtual void receive(std::span<std::byte> bytes, uint32_t from) = 0;

  // Ends the operation under way and all later ones with CollectiveBroken. The only member that
  // another thread may call.
  virtual void abort(std::string why) = 0;
};

}  // namespace muster::worker
