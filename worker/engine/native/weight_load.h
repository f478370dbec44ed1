// The loading of a rank's slices, wherever they come from.
#pragma once

#include "base/result.h"
#include "sharding/shard_map.h"

#include <kj/async.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

// Memory on a 64-byte boundary, so that vector units may read it.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(uint64_t size);
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  uint64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  uint64_t size_ = 0;
};

struct LoadedSlice {
  sharding::Slice slice;
  AlignedBytes bytes;     // the slice's stored bytes in row-major order
  uint64_t checksum = 0;  // XXH3-64, seed 0, of them
};

// As SliceReport has it: 16 hex digits.
std::string checksumText(uint64_t checksum);

// One load, from its construction to its end. Destroying it stops it.
class WeightLoad {
 public:
  virtual ~WeightLoad() noexcept(false) = default;

  // All slices in the order given, or what the load refuses. Take once.
  virtual kj::Promise<Result<std::vector<LoadedSlice>>> loaded() = 0;
  // May be asked from the loop at any time. What turned out wrong is counted no more.
  virtual uint64_t loadedBytes() const = 0;
};

}  // namespace muster::worker
