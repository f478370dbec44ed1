// The bytes in `epoch` and in a candidate's node.
#pragma once

#include "failover/epoch_view.h"
#include "protocol/batch.h"

#include <cstdint>
#include <string>

namespace muster::failover {

// The formats of the log that this binary writes and reads.
constexpr uint32_t LOG_VERSION = 1;

struct CandidateInfo {
  CoordinatorId coordinator;
  Incarnation incarnation;
  std::string rpcAddress;
  Guid guid;  // also in the node's name
  uint32_t logVersionMin = LOG_VERSION;
  uint32_t logVersionMax = LOG_VERSION;
  bool operator==(const CandidateInfo&) const = default;
};

// `view.version` is the znode's and not part of its data.
ByteString encodeEpoch(const EpochView& view, const ClusterName& cluster);
// Throws FAILED for bytes that are no record, UNIMPLEMENTED for an unknown format.
EpochView decodeEpoch(const ByteString& bytes, int32_t version);

ByteString encodeCandidate(const CandidateInfo& info);
CandidateInfo decodeCandidate(const ByteString& bytes);  // throws as above

}  // namespace muster::failover
