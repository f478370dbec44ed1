#include "coordinator/snapshot_taker.h"

#include "base/kj_time.h"
#include "coordinator/snapshot_records.h"
#include "failover/bootstrap.h"
#include "failover/election_rules.h"
#include "failover/session_wait.h"
#include "failover/snapshot_rate.h"
#include "failover/snapshot_reader.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr Duration NEED_LOOK_EVERY = 500_ms;
constexpr Duration RETRY_AFTER = 10_s;
constexpr Duration CONNECT_DEADLINE = 10_s;
constexpr uint64_t BATCH_OVERHEAD = 1024;  // of a znode in a server's heap
constexpr uint64_t WORTH = 4;  // a snapshot is due when the log has grown by this share of it

using failover::CandidateName;
using failover::SessionState;
using failover::SnapshotManifest;
using failover::SnapshotWriter;

}  // namespace

Co<void> SnapshotTaker::runCo() {
  while (parts_.session.state() != SessionState::ENDED) {
    co_await parts_.env.timer.afterDelay(toKj(NEED_LOOK_EVERY));
    if (!isDue()) continue;
    // One that is damaged does not count: the next one replaces it.
    co_await lookAtCurrent().asPromise().catch_([this](kj::Exception&& exception) {
      parts_.env.logger.error("the current snapshot cannot be read",
                              {{"why", exception.getDescription()}});
    });
    if (!isDue()) continue;
    bool ours = co_await isOurTurn();
    if (!ours) continue;
    bool taken = co_await tryTake();
    if (!taken) co_await parts_.env.timer.afterDelay(toKj(RETRY_AFTER));
  }
}

bool SnapshotTaker::isDue() const {
  auto meta = parts_.env.store.meta();
  if (!meta || meta->applied.batch <= newest_) return false;
  uint64_t batches = meta->applied.batch.value - newest_.value;
  uint64_t bytes = parts_.facts.logBytes - bytesAtNewest_;
  bool grown = batches >= parts_.options.batches || bytes >= parts_.options.logBytes.count;
  return grown && bytes + batches * BATCH_OVERHEAD >= newestBytes_.count / WORTH;
}

Co<void> SnapshotTaker::lookAtCurrent() {
  auto current = co_await failover::readCurrentSnapshot(parts_.session, parts_.paths);
  KJ_IF_MAYBE (found, current) {
    parts_.facts.snapshotIndex = found->manifest.position.index;
    if (found->manifest.position.batch <= newest_) co_return;
    newest_ = found->manifest.position.batch;
    newestBytes_ = found->manifest.bytes;
    bytesAtNewest_ = parts_.facts.logBytes;
  }
}

// The last in line writes; the leader only when nobody else stands.
Co<bool> SnapshotTaker::isOurTurn() {
  auto view = co_await failover::readEpoch(parts_.session, parts_.paths);
  Guid leader;
  KJ_IF_MAYBE (found, view) leader = found->leaderGuid;
  auto listed = co_await parts_.session.list(parts_.paths.candidates());
  std::vector<CandidateName> line = failover::lineOf(listed.children, {});
  if (line.empty()) co_return false;
  size_t last = line.size() - 1;
  if (last > 0 && line[last].guid == leader) last--;
  std::string path = parts_.paths.candidates() + "/" + line[last].name;
  auto got = co_await parts_.session.get(path);
  bool ours = got.stat.ephemeralOwner == parts_.session.sessionId();
  co_return ours;
}

kj::Promise<bool> SnapshotTaker::tryTake() {
  return takeOne().asPromise().catch_([this](kj::Exception&& exception) {
    parts_.env.logger.warn("no snapshot was written", {{"why", exception.getDescription()}});
    return false;
  });
}

SnapshotTaker::Content SnapshotTaker::content() const {
  Content content{parts_.env.store.view(), std::nullopt};
  // A leader's memory runs ahead of its store.
  const State& state = parts_.follower.state();
  if (state.applied == content.view->meta().applied.index) content.stateHash = state.hash();
  return content;
}

Co<bool> SnapshotTaker::takeOne() {
  auto session = parts_.env.coordination.open();
  KJ_DEFER(session->close());
  co_await failover::whenConnected(*session).asPromise().exclusiveJoin(
      parts_.env.timer.afterDelay(toKj(CONNECT_DEADLINE)).then([] {
        KJ_FAIL_REQUIRE("no connection to ZooKeeper for the snapshot");
      }));
  Content source = content();
  LogPosition position = source.view->meta().applied;
  SteadyTime started = parts_.env.clock.steadyNow();
  uint64_t enough =
      std::max<uint64_t>({parts_.options.batches, newestBytes_.count / WORTH / BATCH_OVERHEAD, 1});
  Bytes rate =
      failover::snapshotRate(parts_.options.rate, (position.batch.value - newest_.value) / enough);
  SnapshotWriter writer(*session, parts_.env.timer, parts_.paths, position.index, parts_.self.value,
                        rate);
  uint64_t bytes = parts_.facts.logBytes;
  parts_.env.logger.info("writing a snapshot", {{"index", position.index}});
  bool fresh = co_await writer.begin();
  if (fresh) co_await write(writer, kj::mv(source));
  newest_ = position.batch;  // also before the leader says so
  bytesAtNewest_ = bytes;
  parts_.env.logger.info("snapshot written", {{"index", position.index},
                                              {"took", parts_.env.clock.steadyNow() - started}});
  co_return true;
}

Co<void> SnapshotTaker::write(SnapshotWriter& writer, Content content) {
  StoreMeta meta = content.view->meta();
  PayloadCutter cutter(*content.view, failover::SNAPSHOT_PAYLOAD_MAX);
  for (;;) {
    std::optional<ByteString> payload = cutter.next();
    if (!payload) break;
    co_await writer.add(kj::mv(*payload));
  }
  content.view = nullptr;  // the store need not keep what is old any longer
  KJ_REQUIRE(!content.stateHash || cutter.sum().hash() == *content.stateHash,
             "E0901 the store does not hold the state that is in memory; it is damaged",
             meta.applied.index.value);
  SnapshotManifest manifest;
  manifest.cluster = meta.cluster;
  manifest.history = meta.history;
  manifest.position = meta.applied;
  manifest.stateHash = cutter.sum().hash();
  manifest.records = cutter.sum().count();
  manifest.writer = parts_.self;
  manifest.written = parts_.env.clock.wallNow();
  auto read = kj::heap<RecordSum>();
  RecordSum& sum = *read;
  co_await writer.verify(manifest,
                         [&sum](const ByteString& payload) { sum.add(decodeRecords(payload)); });
  KJ_REQUIRE(sum.hash() == manifest.stateHash, "what was read back is not what was written",
             meta.applied.index.value);
  co_await writer.finish(manifest);
}

}  // namespace muster::coordinator
