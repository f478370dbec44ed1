// Watches whether the leader lives, over connections to all configured coordinators, and tells the
// contender when it is to be taken for dead before its session ends. The rules are in
// failover/death_rules.h.
#pragma once

#include "base/tasks.h"
#include "coordinator/coordinator_facts.h"
#include "coordinator/peer_link.h"
#include "failover/election.h"
#include "failover/log_repair.h"

#include <kj/async.h>

#include <map>

namespace muster::coordinator {

class DeathWatch {
 public:
  struct Parts {
    CoordinatorEnvironment env;
    const CoordinatorSettings& settings;
    CoordinatorFacts& facts;
    // A peer knows this token.
    std::function<void(const FencingToken&, const CoordinatorId&)> sawToken;
  };
  // All borrowed; starts at once.
  explicit DeathWatch(Parts parts);
  KJ_DISALLOW_COPY(DeathWatch);

  // Serves this contender, which stands on `session`, until leave().
  void serve(failover::Contender& contender, failover::CoordinationSession& session);
  void leave();
  // The contender won.
  void won(const failover::Contender::Elected& elected);

  // Whether we suspect this leader too: an answer to a peer that asks.
  bool suspects(const failover::LeaderInLine& leader);

  // What the peers have committed of `history` by their newest words, those included that are not
  // reached any more.
  std::vector<failover::Claim> claims(const HistoryId& history) const;
  // Asks all peers for their newest words; waits for those that are connected.
  kj::Promise<void> hearAll(Duration deadline);
  // Batches that a peer keeps, from `from` on; none when it does not answer.
  kj::Promise<std::vector<ByteString>> batches(const CoordinatorId& peer, BatchNumber from,
                                               uint32_t countMax);
  // One batch as each peer keeps it.
  kj::Promise<std::vector<ByteString>> batchOfAll(BatchNumber number);
  // Tells all peers that a record of the log is damaged: the one that leads looks at it.
  void tellDamaged(BatchNumber batch);

 private:
  using Suspicion = failover::Suspicion;

  Co<void> watchLoop();
  void heard(PeerLink& link);
  void look();
  void noteHeard(const failover::LeaderInLine& leader);
  Co<void> confirm(failover::LeaderInLine leader);
  kj::Promise<bool> ableToCommit();
  Co<bool> isCutOffAlone(failover::LeaderInLine leader);
  Co<size_t> askPeers(failover::LeaderInLine leader);
  void act(const failover::LeaderInLine& leader, Suspicion suspicion);
  Suspicion suspicionOf(const failover::LeaderInLine& leader);
  kj::Maybe<PeerLink&> linkTo(const CoordinatorId& id);

  Parts parts_;
  std::vector<kj::Own<PeerLink>> links_;
  kj::Maybe<failover::Contender&> contender_;
  kj::Maybe<failover::CoordinationSession&> session_;
  std::optional<failover::LeaderInLine> leader_;
  std::optional<failover::LeaderInLine> guessed_;  // whom our newest guess was about
  Suspicion guessedWhy_ = Suspicion::NONE;
  std::map<CoordinatorId, failover::GuessHistory> histories_;
  bool heardLeader_ = false;
  bool saidAlone_ = false;
  bool confirming_ = false;
  Tasks confirmation_;  // goes with the contender
  Tasks tasks_;
};

}  // namespace muster::coordinator
