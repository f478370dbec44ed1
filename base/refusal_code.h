// The codes of refusals: E01 input, E02 identity, E03 conflict, E04 placement, E05 node and GPU,
// E06 engine, E07 cluster, E09 internal. A code never changes its meaning; `muster explain E0401`
// prints its page.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace muster {

enum class RefusalCode : uint16_t {
  // E01 input
  INVALID_SYNTAX = 101,
  DUPLICATE_KEY = 102,
  AMBIGUOUS_VALUE = 103,  // YAML anchors, yes/no/on/off
  UNKNOWN_FIELD = 104,
  INVALID_VALUE = 105,
  MISSING_FIELD = 106,
  NOT_SUPPORTED_YET = 107,
  TOO_LARGE = 108,
  INVALID_NAME = 109,
  RESERVED_ARGUMENT = 112,  // Muster owns it: port, rank, rendezvous, sizes, devices, served name
  MODEL_NOT_FOUND = 120,
  MODEL_CONFIG_INVALID = 121,
  MODEL_ARCHITECTURE_UNKNOWN = 122,
  MODEL_FILE_CORRUPT = 123,
  MODEL_OUTSIDE_ROOTS = 124,
  MODEL_FORMAT_REFUSED = 125,
  PARALLEL_IMPOSSIBLE = 126,  // the architecture does not divide this way
  // E02 identity
  NOT_AUTHENTICATED = 201,
  NOT_ALLOWED = 202,
  // E03 conflict
  REVISION_CONFLICT = 301,
  PLAN_UNKNOWN = 302,
  REQUEST_TOO_OLD = 303,
  NOT_FOUND = 304,
  // E04 placement
  WAITING_FOR_CAPACITY = 401,
  MODEL_DOES_NOT_FIT = 402,
  NO_MATCHING_GPU = 403,
  TOPOLOGY_UNSATISFIED = 404,
  NO_WORKER = 405,
  DISRUPTION_BLOCKED = 406,
  // E05 node and GPU
  NODE_LOST = 501,
  NODE_DRAINING = 502,
  NODE_CONFLICT = 503,  // another agent already speaks for this node
  GPU_UNUSABLE = 504,   // a rank cannot compute on the GPU it was given
  // E06 engine
  ENGINE_EXITED = 601,
  RANK_CRASHED = 602,
  OUT_OF_GPU_MEMORY = 603,
  RANK_STALLED = 604,
  JOIN_TIMEOUT = 605,
  HEALTH_CHECK_FAILED = 606,
  WEIGHTS_CORRUPT = 607,
  FETCH_FAILED = 608,
  // E07 cluster
  NO_LEADER = 701,
  NOT_LEADER = 702,
  OVERLOADED = 703,
  HISTORY_MISMATCH = 704,
  STORE_UNREACHABLE = 705,
  PORT_IN_USE = 706,
  DISK_FULL = 707,
  TIMED_OUT = 708,
  OUTCOME_UNKNOWN = 709,
  ALREADY_RUNNING = 710,
  STALE_ORDER = 711,  // an order or answer of an older (history, epoch, index)
  SCHEMA_TOO_NEW =
      712,  // the state or the log is of a schema level this binary does not understand
  // E09
  INTERNAL = 901,
};

// What a code means on each surface; docs of one code in one row.
struct RefusalInfo {
  RefusalCode code;
  std::string_view title;  // "unknown field"
  int exitCode;            // of the CLI
  int httpStatus;
  bool retryable;         // the same call may succeed later without a change
  std::string_view page;  // what `muster explain E0104` prints
};

const RefusalInfo& refusalInfo(RefusalCode code);
std::span<const RefusalInfo> allRefusals();
std::string toText(RefusalCode code);  // "E0401"
std::optional<RefusalCode> parseRefusalCode(std::string_view text);

}  // namespace muster
