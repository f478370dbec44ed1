// Orders and reports for tests: what matters is set, the rest is plain.
#pragma once

#include "protocol/order.h"

#include <vector>

namespace muster::worker {

inline const Guid HISTORY_GUID{7, 7};

inline FencingToken tokenOf(uint64_t epoch) { return {{1, HISTORY_GUID}, {epoch}}; }
inline OrderStamp stampOf(uint64_t epoch, uint64_t index) { return {tokenOf(epoch), {index}}; }

inline RankRef rankOf(uint32_t rank) { return {{5}, {0}, {1}, {rank}}; }

inline Assignment assignmentOf(uint32_t rank) {
  Assignment assignment;
  assignment.ref = rankOf(rank);
  assignment.tenant = {"default"};
  assignment.deployment = {"chat"};
  assignment.worldSize = 4;
  assignment.devices = {{rank}};
  assignment.memory = 1_GiB;
  assignment.modelSource = "file:/models/sample";
  assignment.manifestDigest = "0123456789abcdef0123456789abcdef";
  assignment.secret = {1, 2, 3};
  return assignment;
}

inline Order orderOf(OrderStamp stamp, Incarnation agent, const std::vector<uint32_t>& ranks) {
  Order order{stamp, agent, {}};
  for (uint32_t rank : ranks) order.assignments.push_back(assignmentOf(rank));
  return order;
}

inline RankReport reportOf(uint32_t rank, ReplicaPhase phase) {
  RankReport report;
  report.ref = rankOf(rank);
  report.phase = phase;
  return report;
}

}  // namespace muster::worker
