// Strong types for what is counted or named, so that an epoch is never taken for an index.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace muster {

// A number that only compares with its own kind.
template <class Tag, class Rep = uint64_t>
struct StrongNumber {
  Rep value{};
  auto operator<=>(const StrongNumber&) const = default;
  StrongNumber next() const { return {static_cast<Rep>(value + 1)}; }
};

// A name that only compares with its own kind. protocol/names.h checks it where it enters.
template <class Tag>
struct StrongName {
  std::string value;
  auto operator<=>(const StrongName&) const = default;
};

using LogIndex = StrongNumber<struct LogIndexTag>;        // of a command; the first has index 1
using BatchNumber = StrongNumber<struct BatchNumberTag>;  // of a log znode; dense, from 1
using Epoch = StrongNumber<struct EpochTag>;              // one leadership; grows within a history
using Generation = StrongNumber<struct GenerationTag>;    // of a replica; only grows
using Revision = StrongNumber<struct RevisionTag>;        // of a deployment; starts with 1
using DeploymentUid = StrongNumber<struct DeploymentUidTag>;  // never used twice in a history
using ReplicaNumber = StrongNumber<struct ReplicaNumberTag, uint32_t>;
using RankNumber = StrongNumber<struct RankNumberTag, uint32_t>;
using DeviceIndex = StrongNumber<struct DeviceIndexTag, uint32_t>;

using NodeName = StrongName<struct NodeNameTag>;  // also the name of the worker on that node
using CoordinatorId = StrongName<struct CoordinatorIdTag>;
using ClusterName = StrongName<struct ClusterNameTag>;
using TenantName = StrongName<struct TenantNameTag>;
using DeploymentName = StrongName<struct DeploymentNameTag>;

// 128 random bits.
struct Guid {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const Guid&) const = default;
  bool isNull() const { return high == 0 && low == 0; }
};

using Incarnation = Guid;  // drawn at each start of a coordinator or an agent
using BatchId = Guid;

// Which past this cluster lives in. A restore raises the number; the higher wins, and an equal
// number with another guid means that two clusters were mixed up.
struct HistoryId {
  uint64_t number = 0;
  Guid guid;
  auto operator<=>(const HistoryId&) const = default;
};

// The fencing token: receivers keep the highest they have seen and refuse lower ones.
struct FencingToken {
  HistoryId history;
  Epoch epoch;
  auto operator<=>(const FencingToken&) const = default;
};

std::string toText(const Guid& guid);  // 32 lower-case hex digits

}  // namespace muster
