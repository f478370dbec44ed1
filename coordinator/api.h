// What the parts of a coordinator's API share: what they work on, who asks, what they answer.
#pragma once

#include "base/result.h"
#include "coordinator/answer_cache.h"
#include "coordinator/call_stats.h"
#include "coordinator/config.h"
#include "coordinator/coordinator.h"
#include "coordinator/objects/json.h"
#include "coordinator/plan_book.h"

#include <kj/async.h>

#include <string>
#include <vector>

namespace muster::coordinator {

// One for a process, shared by all callers; everything is borrowed from main.
struct ApiContext {
  Coordinator& coordinator;
  PlanBook& plans;
  CallStats& calls;
  std::vector<PeerAddress> peers;  // all configured coordinators, this one too
  AnswerCache answers = {};

  const CoordinatorEnvironment& env() const { return coordinator.environment(); }
};

// Who asks, and what comes with every call.
struct ApiCall {
  std::string principal;  // "admin/anna"
  RequestId request;      // null: not given
  LogIndex lastIndex;     // highest the client has seen
};

struct Answer {
  // A constructor, so that it may be made inside a co_return (see base/co.h).
  Answer(std::string text, LogIndex restsOn) : json(std::move(text)), index(restsOn) {}

  std::string json;
  LogIndex index;  // the answer rests on
  bool stale = false;
  Duration age;  // of a stale answer
};
using AnswerPromise = kj::Promise<Result<Answer>>;

// The refusal, once it may leave: what it rests on is committed and the leadership is proven.
AnswerPromise refuseWhenProven(Driver& driver, Refusal refusal);

// Resolves when everything up to `index` is committed and applied here. Refuses OVERLOADED when
// that takes longer than two seconds.
kj::Promise<Result<Done>> awaitIndex(Coordinator& coordinator, LogIndex index);

// A deployment that is named exactly: "[tenant/]name". Refuses INVALID_NAME.
struct DeploymentTarget {
  TenantName tenant;
  DeploymentName name;
};
Result<DeploymentTarget> parseDeploymentTarget(const std::string& text);

}  // namespace muster::coordinator
