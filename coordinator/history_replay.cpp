#include "coordinator/history_replay.h"

#include "base/co.h"
#include "coordinator/core/core.h"
#include "coordinator/core/record.h"
#include "coordinator/snapshot_records.h"
#include "failover/bootstrap.h"
#include "failover/log_reader.h"
#include "failover/snapshot_reader.h"
#include "protocol/codec.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

using failover::CurrentSnapshot;
using failover::LogReader;
using failover::ReadBatch;
using failover::SnapshotManifest;
using failover::SnapshotReader;
using failover::ZkCode;

std::string indexText(LogIndex index) { return "index " + std::to_string(index.value); }

bool isBehind(const PastPoint& point, LogIndex index, WallTime wall) {
  return point.index.value > 0 ? point.index < index : point.wall.unixMs < wall.unixMs;
}

// What the replay starts from.
struct Base {
  kj::Own<State> state;
  LogPosition position;
  WallTime wall;
};
using MaybeBase = kj::Maybe<Base>;

// The batch of that number, when it is there and of this history.
Co<kj::Maybe<Batch>> batchAt(ReplayParts parts, HistoryId history, BatchNumber number) {
  auto got = co_await parts.session.get(parts.paths.batch(number));
  kj::Maybe<Batch> found;
  if (got.code != ZkCode::OK) co_return kj::mv(found);
  Batch batch = decodeBatch(got.data);
  if (batch.history == history) found = kj::mv(batch);
  co_return kj::mv(found);
}

// Nothing when the snapshot was replaced while it was read.
Co<MaybeBase> loadSnapshot(ReplayParts parts, SnapshotManifest manifest, WallTime wall) {
  SnapshotReader reader(parts.session, parts.paths, manifest);
  std::vector<StoredRecord> records;
  MaybeBase base;
  for (;;) {
    SnapshotReader::Next next = co_await reader.next();
    if (next.found == SnapshotReader::Found::GONE) co_return kj::mv(base);
    if (next.found == SnapshotReader::Found::END) break;
    for (StoredRecord& record : decodeRecords(next.payload)) records.push_back(kj::mv(record));
  }
  auto state = kj::heap<State>(loadState(records));
  KJ_REQUIRE(state->hash() == manifest.stateHash, "E0901 the snapshot is not the state it names");
  Base loaded{kj::mv(state), manifest.position, wall};
  base = kj::mv(loaded);
  co_return kj::mv(base);
}

Refusal tooOld(const std::string& oldest) {
  return {RefusalCode::NOT_FOUND,
          "that point is older than what is kept: the log was trimmed, and the oldest state that "
          "can be shown is that of " +
              oldest,
          {},
          {"restore a backup of that time into a cluster of its own"}};
}

Refusal tooLarge(uint64_t records) {
  return {RefusalCode::OVERLOADED, "the leader does not load a state of " +
                                       std::to_string(records) + " records; ask a standby"};
}

Refusal notBootstrapped() {
  return {RefusalCode::STORE_UNREACHABLE, "this cluster was not bootstrapped"};
}

Refusal beyondTheEnd(LogIndex end, LogIndex asked) {
  return {RefusalCode::NOT_FOUND,
          "the log ends at " + indexText(end) + ", asked was " + indexText(asked)};
}

Co<Result<Base>> findBase(ReplayParts parts, HistoryId history, PastPoint point) {
  for (;;) {
    auto current = co_await failover::readCurrentSnapshot(parts.session, parts.paths);
    std::string oldest = "the first command";
    KJ_IF_MAYBE (snapshot, current) {
      SnapshotManifest manifest = snapshot->manifest;
      auto last = co_await batchAt(parts, history, manifest.position.batch);
      WallTime wall = manifest.written;
      KJ_IF_MAYBE (batch, last) wall = batch->wallTime;
      oldest = indexText(manifest.position.index) + ", " + toRfc3339(wall);
      if (!isBehind(point, manifest.position.index, wall)) {
        if (manifest.records > parts.recordsMax) co_return tooLarge(manifest.records);
        auto loaded = co_await loadSnapshot(parts, kj::mv(manifest), wall);
        KJ_IF_MAYBE (base, loaded) co_return Result<Base>(kj::mv(*base));
        continue;
      }
    }
    auto first = co_await batchAt(parts, history, BatchNumber{1});
    if (first == nullptr) co_return tooOld(oldest);
    Base empty{kj::heap<State>(emptyState(history)), LogPosition(), WallTime()};
    co_return Result<Base>(kj::mv(empty));
  }
}

// Commands of the batch that belong to the past; false when a later one is in it.
bool applyUpTo(State& state, const Batch& batch, const PastPoint& point) {
  if (point.index.value == 0 && batch.wallTime.unixMs > point.wall.unixMs) return false;
  LogIndex index = batch.firstIndex;
  for (const ByteString& bytes : batch.commands) {
    if (point.index.value > 0 && index > point.index) return false;
    apply(state, index, decodeCommand(bytes));
    index = index.next();
  }
  return true;
}

Co<Result<PastState>> replayCo(ReplayParts parts, PastPoint point) {
  auto view = co_await failover::readEpoch(parts.session, parts.paths);
  HistoryId history;
  KJ_IF_MAYBE (found, view) {
    history = found->history;
  } else {
    co_return notBootstrapped();
  }
  auto found = co_await findBase(parts, history, point);
  if (!found) co_return found.refusal();
  Base base = kj::mv(*found);
  LogReader reader(parts.session, parts.paths, history, base.position);
  bool goesOn = true;
  while (goesOn && (point.index.value == 0 || base.state->applied < point.index)) {
    kj::Maybe<ReadBatch> next = co_await reader.next();
    KJ_IF_MAYBE (read, next) {
      goesOn = applyUpTo(*base.state, read->batch, point);
      if (goesOn) base.wall = read->batch.wallTime;
    } else {
      break;
    }
  }
  if (point.index.value > 0 && base.state->applied < point.index) {
    co_return beyondTheEnd(base.state->applied, point.index);
  }
  PastState past{kj::mv(base.state), base.wall};
  co_return Result<PastState>(kj::mv(past));
}

}  // namespace

kj::Promise<Result<PastState>> replayTo(ReplayParts parts, PastPoint point) {
  return replayCo(kj::mv(parts), point);
}

}  // namespace muster::coordinator
