// What clients of a cluster did and were told, as a list of timed operations.
//
// As text: one JSON object per line,
//   {"client": 3, "kind": "write", "key": "a", "argument": "7", "invoked_ns": 10, "returned_ns":
//   25,
//    "outcome": "ok", "value": "", "revision": 4}
// `expected`, `argument`, `value`, `revision` may be left out; an operation without `returned_ns`
// has an unknown outcome: it may have taken effect at any time after it was asked, or never.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::testing {

enum class OperationKind { READ, WRITE, COMPARE_AND_SET, APPLY, SCALE, DELETE };
// NOT_FOUND and CONFLICT are answers like any other: they must be true at some moment, too.
enum class OperationOutcome { OK, NOT_FOUND, CONFLICT };

struct Operation {
  uint64_t client = 0;
  OperationKind kind = OperationKind::READ;
  std::string key;
  std::string argument;                 // value written, spec applied, number of replicas
  std::optional<std::string> expected;  // COMPARE_AND_SET: the value it asks for
  int64_t invokedNs = 0;
  std::optional<int64_t> returnedNs;  // nothing: the outcome is unknown
  OperationOutcome outcome = OperationOutcome::OK;
  std::string value;  // what a read saw; empty when there was nothing
  uint64_t revision = 0;
  bool operator==(const Operation&) const = default;
};

using History = std::vector<Operation>;

// Empty lines are skipped. Throws FAILED with the number of a line it does not understand.
History historyFromText(std::string_view lines);
std::string toText(const History& history);
std::string toText(const Operation& operation);  // one line, without its end

}  // namespace muster::testing
