// Loads a rank's slices: parallel positional reads of megabytes into aligned memory, a checksum for
// each slice.
//
// A rank asks for its own bytes only: of a tensor that is cut by columns, row by row. Reads go
// through the page cache on purpose: ranks of one node that share the pages of a tensor read them
// at about the same time, and the disk gives each byte once. With two threads nothing is lost
// against O_DIRECT, which would read shared pages for each rank.
#pragma once

#include "base/result.h"
#include "sharding/shard_map.h"
#include "worker/model_roots.h"

#include <kj/async.h>
#include <kj/thread.h>

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

// A file of the model that a load reads from.
struct SliceFile {
  std::string name;  // as slices name it
  OpenedPath opened;
};

// One load, from its construction to its end. Reads on threads of its own; destroying it stops
// them.
class SliceLoad {
 public:
  // `slices`: each within its file's size, which must be among `files`. `threads`: at least 1.
  SliceLoad(std::vector<SliceFile> files, std::vector<sharding::Slice> slices, uint32_t threads);
  ~SliceLoad() noexcept(false);

  // All slices in the order given, or WEIGHTS_CORRUPT naming file, offset and cause of the first
  // failure. Take once.
  kj::Promise<Result<std::vector<LoadedSlice>>> loaded();

  uint64_t loadedBytes() const;  // may be asked from the loop at any time

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  kj::Promise<void> finished_;
  std::vector<kj::Own<kj::Thread>> threads_;
};

}  // namespace muster::worker
