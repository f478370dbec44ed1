#include "coordinator/schema_raiser.h"

#include "base/kj_time.h"
#include "coordinator/peer_views.h"
#include "protocol/schema_level.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr Duration LEVEL_LOOK_EVERY = 1_s;

uint32_t commonLevel(const std::vector<CoordinatorView>& reports) {
  uint32_t level = reports.empty() ? 0 : schemaLevelUnderstood();
  for (const auto& one : reports) level = std::min(level, one.reachable ? one.schemaLevelMax : 0);
  return level;
}

}  // namespace

std::optional<uint32_t> SchemaAgreement::take(uint32_t stateLevel,
                                              const std::vector<CoordinatorView>& reports,
                                              SteadyTime now) {
  uint32_t level = commonLevel(reports);
  if (level != agreed_) agreedSince_ = now;
  agreed_ = level;
  bool isDue = level > stateLevel && now - agreedSince_ >= quietTime_;
  return isDue ? std::optional(level) : std::nullopt;
}

SchemaRaiser::SchemaRaiser(Parts parts)
    : parts_(parts), agreement_(parts.settings.raiseSchemaAfter) {}

kj::Promise<void> SchemaRaiser::run() { return runCo(); }

Co<void> SchemaRaiser::runCo() {
  while (parts_.driver.state().schemaLevel < schemaLevelUnderstood()) {
    co_await lookOnce();
    co_await parts_.env.timer.afterDelay(toKj(LEVEL_LOOK_EVERY));
  }
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

Co<void> SchemaRaiser::lookOnce() {
  const auto& peers = parts_.settings.peers;
  auto asked = kj::heapArrayBuilder<kj::Promise<CoordinatorView>>(peers.size());
  for (const PeerAddress& peer : peers) asked.add(report(peer));
  auto answers = co_await kj::joinPromises(asked.finish());
  std::vector<CoordinatorView> reports(answers.begin(), answers.end());
  Driver& driver = parts_.driver;
  auto level = agreement_.take(driver.state().schemaLevel, reports, parts_.env.clock.steadyNow());
  if (!level) co_return;
  SchemaLevelRaised raised;
  raised.level = *level;
  for (const auto& one : reports) raised.understoodBy.push_back(one.id);
  parts_.env.logger.info("raising the schema level",
                         {{"from", driver.state().schemaLevel}, {"to", *level}});
  // One that is refused, during a hand-over say, is left to the next look or the next leader.
  (void)driver.propose(raised, "coordinator/" + parts_.settings.id.value);
}

kj::Promise<CoordinatorView> SchemaRaiser::report(const PeerAddress& peer) {
  if (peer.id != parts_.settings.id) return askPeer(parts_.env, peer);
  CoordinatorView self;
  self.id = peer.id;
  self.reachable = true;
  self.schemaLevelMax = schemaLevelUnderstood();
  return self;
}

}  // namespace muster::coordinator
