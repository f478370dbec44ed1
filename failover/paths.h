// Names below /muster-<cluster>; docs/ARCHITECTURE.md shows the tree.
#pragma once

#include "base/ids.h"

#include <cstdio>
#include <string>

namespace muster::failover {

struct Paths {
  std::string root;
  explicit Paths(const ClusterName& cluster) : root("/muster-" + cluster.value) {}
  std::string epoch() const { return root + "/epoch"; }
  std::string candidates() const { return root + "/candidates"; }
  std::string log() const { return root + "/log"; }
  std::string snapshot() const { return root + "/snapshot"; }
  std::string candidatePrefix(const Guid& guid) const {
    return candidates() + "/c-" + toText(guid) + "-";
  }
  std::string batch(BatchNumber number) const { return log() + "/" + padded(number.value); }
  std::string currentSnapshot() const { return snapshot() + "/current"; }
  std::string snapshotFolder(LogIndex index) const {
    return snapshot() + "/" + padded(index.value);
  }
  std::string snapshotManifest(LogIndex index) const { return snapshotFolder(index) + "/manifest"; }
  std::string snapshotChunk(LogIndex index, uint32_t number) const {
    return snapshotFolder(index) + "/" + padded(number);
  }

  static std::string padded(uint64_t number) {  // fixed width, so that names sort as numbers
    char name[24];
    std::snprintf(name, sizeof name, "%010llu", static_cast<unsigned long long>(number));
    return name;
  }
};

}  // namespace muster::failover
