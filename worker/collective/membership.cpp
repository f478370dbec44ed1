#include "worker/collective/membership.h"

namespace muster::worker {
namespace {

const char* nameOf(OperationKind kind) {
  switch (kind) {
    case OperationKind::ALL_REDUCE:
      return "all-reduce";
    case OperationKind::ALL_GATHER:
      return "all-gather";
    case OperationKind::BROADCAST:
      return "broadcast";
    case OperationKind::SEND:
      return "send";
    case OperationKind::RECEIVE:
      return "receive";
    case OperationKind::NONE:
      break;
  }
  return "unknown operation";
}

}  // namespace

std::string toText(const Operation& operation) {
  return std::string(nameOf(operation.kind)) + " of " + std::to_string(operation.bytes) + " bytes";
}

std::string lateText(const Membership& group, const Operation& operation,
                     const std::vector<uint32_t>& missing) {
  std::string names;
  for (uint32_t member : missing) names += (names.empty() ? "" : ", ") + group.rankName(member);
  return group.name + ": " + (names.empty() ? "somebody" : names) + " did not take part in " +
         toText(operation) + " within " + toText(group.deadline);
}

}  // namespace muster::worker
