// Slices that came from other nodes, kept in a folder of this one for the next rank that wants the
// same: on a tmpfs that is the host's memory.
//
// Slices of a node's own files need none: the kernel's page cache keeps those.
#pragma once

#include "base/units.h"
#include "worker/engine/native/weight_load.h"

#include <cstdint>
#include <string>

namespace muster::worker {

// Any number of ranks may use one folder at a time. All of it blocks for as long as it takes to
// copy a slice.
class SliceCache {
 public:
  // `folder`: made when missing, and closed to others. One that is another user's keeps nothing.
  // `most`: of all that is kept, by all ranks.
  SliceCache(std::string folder, Bytes most);

  // Fills `slice.bytes` and `slice.checksum` when the slice is kept and its bytes have the checksum
  // that they were kept with. What has not is removed.
  bool find(const std::string& manifestDigest, LoadedSlice& slice) const;
  // Keeps a slice; for room those go that were used longest ago. A slice that has no room, or that
  // the disk does not take, is not kept: then the next rank asks other nodes again.
  void keep(const std::string& manifestDigest, const LoadedSlice& slice) const;

 private:
  std::string pathOf(const std::string& manifestDigest, const sharding::Slice& slice) const;
  bool makeRoom(uint64_t bytes) const;

  std::string folder_;
  Bytes most_;
  bool isOurs_ = false;
};

}  // namespace muster::worker
