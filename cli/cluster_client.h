// A cluster's coordinators as one thing that answers: finds the leader, follows its changes, and
// asks again under the same request id until the answer is sure or the time is over.
#pragma once

#include "base/backoff.h"
#include "base/co.h"
#include "base/random.h"
#include "base/result.h"
#include "base/tasks.h"
#include "cli/calls.h"
#include "cli/coordinator_link.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace muster::cli {

struct ClusterClientOptions {
  std::vector<std::string> coordinators;  // RPC addresses
  Duration timeout{30'000'000'000};       // of one call, all its tries together
  // How long a leader is looked for where anybody will do, and somebody of the history last seen: a
  // new cluster of the same name has another.
  Duration settleAfter{2'000'000'000};
  // Told once per search for a leader that lasts longer than a second, with what each coordinator
  // said.
  std::function<void(const std::string&)> onWaiting = [](const std::string&) {};
  // Told of each try that did not succeed.
  std::function<void(const std::string&)> onRetry = [](const std::string&) {};
};

class ClusterClient {
 public:
  // The references must outlive this.
  ClusterClient(Transport& transport, kj::Timer& timer, Random& random,
                ClusterClientOptions options);

  // One call at a time. A call whose connection broke, or that a coordinator did not carry out
  // since it does not lead, is sent again with the same request id. Refuses what the coordinator
  // refuses; NO_LEADER when none was found in time, OUTCOME_UNKNOWN when the request had been sent
  // by then, NOT_AUTHENTICATED when no coordinator is trusted or trusts us. `this` must outlive the
  // promise.
  Co<Result<Answer>> call(ClusterCall call);

  // The highest index seen in this history; answers are never from before it. `history` counts
  // once a coordinator has said that it is the cluster's.
  void setSeen(HistoryId history, LogIndex index);
  const HistoryId& history() const { return history_; }
  LogIndex lastIndex() const { return lastIndex_; }

 private:
  struct Search;
  struct Try;

  CoordinatorLink* knownLeader(Asks asks);
  Co<CoordinatorLink*> find(Asks asks, kj::TimePoint deadline);
  Co<void> searchAt(Search& search, CoordinatorLink& link);
  Co<Try> tryOnce(CoordinatorLink& link, ClusterCall call, CallStamp stamp, kj::TimePoint deadline);
  Co<void> untilAnotherLeads(CoordinatorLink& link);
  kj::Promise<void> newsOf(const std::vector<CoordinatorLink*>& links);
  kj::Promise<void> pauseBefore(CoordinatorLink& link, Asks asks, kj::Duration pause);
  Co<void> untilSilent(CoordinatorLink& link);
  CoordinatorLink& linkTo(const std::string& address);
  void startAt(Search& search, const std::string& address);
  void learn(const ServerFacts& facts);
  bool fits(const Search& search, const ServerFacts& facts);
  CallStamp stampFor(const RequestId& id) const { return {id, lastIndex_, history_}; }
  Refusal noLeader(bool sent) const;
  std::string whatEachSaid() const;

  Transport& transport_;
  kj::Timer& timer_;
  Random& random_;
  ClusterClientOptions options_;
  std::map<std::string, kj::Own<CoordinatorLink>> links_;
  HistoryId history_;
  LogIndex lastIndex_;
  Epoch epochMax_;
  Instant clusterTimeMax_;
  bool distrusted_ = false;  // the last search found only coordinators that TLS did not accept
};

}  // namespace muster::cli
