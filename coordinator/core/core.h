// The functional core: three functions over one State. No I/O, no clock, no chance but what is
// handed in.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "coordinator/core/effects.h"
#include "coordinator/core/event.h"
#include "coordinator/core/observed.h"
#include "coordinator/core/record.h"
#include "coordinator/core/state.h"
#include "protocol/command.h"

namespace muster::coordinator {

// What somebody wants: the body of a command, with the fields that only the leader may set left
// empty.
struct Request {
  std::string principal;  // "admin/alice"; "coordinator/co1" for what the leader decides by itself
  RequestId id;           // zero for what the leader decides by itself
  CommandBody body;
};

// Leader only. Turns a request into a command stamped with `now`, or says no. A request id that has
// an outcome in `state` gets that outcome again: `earlier` below. Refuses REQUEST_TOO_OLD after 10
// minutes of cluster time.
struct Decision {
  // Exactly one is set.
  std::optional<Command> command;
  std::optional<Outcome> earlier;
};
Result<Decision> decide(const State& state, const Request& request, Instant now, WallTime wallNow);

// Every coordinator, in log order. Total and deterministic: a command that does not fit the state
// (or would break an invariant) is Rejected, alike everywhere, and changes nothing but the applied
// index and the request's outcome.
struct Applied {
  std::vector<Event> events;
  std::vector<RecordWrite> writes;  // what the store has to write for this command, sorted by key
  std::optional<Refusal> rejected;
};
Applied apply(State& state, LogIndex index, const Command& command);

// Leader only: what the world still lacks. `random` draws the secrets of new generations.
//
// Proposals go through decide and the log; one that is refused is dropped, for the next look sees
// why. Call again whenever the state or what is observed has changed, that is also after proposals
// were applied, and at `wakeAt`. Orders may be sent twice. An order rests on the log up to its
// stamp's index and leaves when that is committed.
Effects reconcile(const State& state, const Observed& observed, Instant now, Random& random);

}  // namespace muster::coordinator
