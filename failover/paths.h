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
  std::string batch(BatchNumber number) const {  // fixed width, so that names sort as numbers
    char name[16];
    std::snprintf(name, sizeof name, "%010llu", static_cast<unsigned long long>(number.value));
    return log() + "/" + name;
  }
};

}  // namespace muster::failover
