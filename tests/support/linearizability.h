// Whether a history could have come from one machine that does one operation after the other, each
// at a moment between its being asked and its answer.
//
// Wing and Gong's search with a memory of configurations. Sources: Wing, Gong, "Testing and
// Verifying Concurrent Objects", JPDC 17 (1993); Lowe, "Testing for linearizability", CCPE 29
// (2017). Keys are independent of each other, so each is searched alone (Herlihy and Wing's
// locality).
#pragma once

#include "tests/support/history.h"

namespace muster::testing {

// One key of a sequential machine. Its state is text, empty at the start; equal states have equal
// text.
class SequentialModel {
 public:
  virtual ~SequentialModel() noexcept(false) = default;
  // The state after `operation`, nothing when it cannot have been answered so in `state`. An
  // operation without an answer is carried out in any state.
  virtual std::optional<std::string> step(const std::string& state,
                                          const Operation& operation) const = 0;
};

// READ, WRITE, DELETE and COMPARE_AND_SET of values by key; what is not there reads as NOT_FOUND.
class RegisterModel final : public SequentialModel {
 public:
  std::optional<std::string> step(const std::string& state,
                                  const Operation& operation) const override;
};

// APPLY, SCALE, DELETE and READ of deployments. Every change raises the deployment's revision by
// one and answers it; what was deleted starts again at revision 1. A READ sees "spec x replicas"
// and the revision. An APPLY's argument may be of that form, too; else the replicas stay as they
// are, 1 at first. `expected` is the revision that a change demands, as text.
class DeploymentModel final : public SequentialModel {
 public:
  std::optional<std::string> step(const std::string& state,
                                  const Operation& operation) const override;
};

enum class Linearizability { YES, NO, UNDECIDED };

struct LinearizabilityVerdict {
  Linearizability answer = Linearizability::YES;
  std::string text;             // NO: the key, and what found no place in the longest order
  uint64_t configurations = 0;  // looked at, of all keys
};

// UNDECIDED after `configurationsMax` of one key. The history may be in any order.
LinearizabilityVerdict checkLinearizable(const History& history, const SequentialModel& model,
                                         uint64_t configurationsMax = 20'000'000);

}  // namespace muster::testing
