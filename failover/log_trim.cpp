#include "failover/log_trim.h"

#include "failover/session_wait.h"
#include "protocol/codec.h"

#include <algorithm>
#include <charconv>

namespace muster::failover {
namespace {

constexpr auto SECOND_LOOK = 5 * kj::SECONDS;
constexpr size_t REMOVALS_MAX = 200;  // in one multi

uint64_t numberOf(const std::string& name) {
  uint64_t value = 0;
  std::from_chars(name.data(), name.data() + name.size(), value);
  return value;
}

[[noreturn]] void throwEnded() {
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the ZooKeeper session ended"));
  KJ_UNREACHABLE;
}

}  // namespace

// The watch is set before the look, so that no change falls between them.
Co<void> LogTrimmer::runCo() {
  for (;;) {
    co_await whenConnected(parts_.session);
    WatchResult watched = co_await parts_.session.watch(parts_.paths.snapshot());
    if (watched.code == ZkCode::SESSION_ENDED) throwEnded();
    co_await look();
    co_await kj::mv(watched.changed).exclusiveJoin(parts_.timer.afterDelay(SECOND_LOOK));
  }
}

// Whatever an earlier look or another leader left undone is done by this one.
Co<void> LogTrimmer::look() {
  GetResult told = co_await parts_.session.get(parts_.paths.snapshot());
  if (told.code != ZkCode::OK) co_return;
  LogIndex index{numberOf(told.data)};
  kj::Maybe<CurrentSnapshot> current = co_await readCurrentSnapshot(parts_.session, parts_.paths);
  bool newer = true;
  KJ_IF_MAYBE (known, current) newer = index > known->manifest.position.index;
  if (index.value > 0 && newer) {
    co_await adopt(index, kj::mv(current));
    current = co_await readCurrentSnapshot(parts_.session, parts_.paths);
  }
  SnapshotManifest manifest;
  KJ_IF_MAYBE (known, current) {
    manifest = known->manifest;
  } else {
    co_return;
  }
  co_await removeOlder(manifest.position.index);
  co_await trim(manifest.position.batch);
}

Co<void> LogTrimmer::adopt(LogIndex index, kj::Maybe<CurrentSnapshot> current) {
  kj::Maybe<SnapshotManifest> finished = co_await readFinished(index);
  SnapshotManifest manifest;
  KJ_IF_MAYBE (found, finished) {
    manifest = *found;
  } else {
    co_return;
  }
  bool ours = co_await isOfThisLog(manifest);
  if (!ours) {
    parts_.logger.error("a snapshot is not of this log and is not used",
                        {{"index", index}, {"writer", manifest.writer}});
    co_return;
  }
  std::string path = parts_.paths.currentSnapshot();
  std::vector<Op> ops(1, checkOp(parts_.paths.snapshotManifest(index)));
  int32_t version = -1;
  KJ_IF_MAYBE (known, current) version = known->version;
  if (version >= 0) {
    ops.push_back(setOp(path, encodeManifest(manifest), version));
  } else {
    ops.push_back(createOp(path, encodeManifest(manifest)));
  }
  MultiResult set = co_await parts_.fenced(kj::mv(ops));
  if (set.code != ZkCode::OK) co_return;  // the next look sees what became of it
  parts_.logger.info("snapshot is current", {{"index", index},
                                             {"records", manifest.records},
                                             {"bytes", manifest.bytes.count},
                                             {"writer", manifest.writer}});
  if (parts_.onCurrent) parts_.onCurrent(manifest);
}

Co<kj::Maybe<SnapshotManifest>> LogTrimmer::readFinished(LogIndex index) {
  GetResult got = co_await parts_.session.get(parts_.paths.snapshotManifest(index));
  if (got.code != ZkCode::OK) co_return kj::Maybe<SnapshotManifest>(nullptr);
  kj::Maybe<SnapshotManifest> manifest;
  KJ_IF_MAYBE (damage, kj::runCatchingExceptions([&] { manifest = decodeManifest(got.data); })) {
    parts_.logger.error("a snapshot's manifest is damaged and is not used",
                        {{"index", index}, {"why", damage->getDescription()}});
  }
  co_return kj::mv(manifest);
}

// Its last batch is in the log with the chain hash that the manifest names: what was applied is
// this history and nothing else.
Co<bool> LogTrimmer::isOfThisLog(SnapshotManifest manifest) {
  if (manifest.history != parts_.history) co_return false;
  GetResult got = co_await parts_.session.get(parts_.paths.batch(manifest.position.batch));
  bool there = got.code == ZkCode::OK;
  co_return there ? chainAfter(got.data) == manifest.position.chain : false;
}

Co<void> LogTrimmer::removeOlder(LogIndex current) {
  std::vector<std::string> names = co_await namesIn(parts_.paths.snapshot());
  for (size_t i = 0; i < names.size(); i++) {
    uint64_t index = numberOf(names[i]);
    if (names[i] != "current" && index < current.value) co_await removeFolder(LogIndex{index});
  }
}

Co<void> LogTrimmer::removeFolder(LogIndex index) {
  std::string folder = parts_.paths.snapshotFolder(index);
  std::vector<std::string> paths = co_await namesIn(folder);
  for (std::string& path : paths) path = folder + "/" + path;
  paths.push_back(folder);
  co_await removeAll(kj::mv(paths));
}

// Ascending, so that what is left is always without holes.
Co<void> LogTrimmer::trim(BatchNumber current) {
  std::vector<std::string> names = co_await namesIn(parts_.paths.log());
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    if (numberOf(name) + parts_.keptBatches >= current.value) break;
    paths.push_back(parts_.paths.log() + "/" + name);
  }
  if (paths.empty()) co_return;
  size_t count = paths.size();
  co_await removeAll(kj::mv(paths));
  parts_.logger.info("log trimmed", {{"batches", count}, {"snapshot_batch", current}});
}

// Stops at the first part that was not done: the next look starts with what is there then.
Co<void> LogTrimmer::removeAll(std::vector<std::string> paths) {
  for (size_t from = 0; from < paths.size(); from += REMOVALS_MAX) {
    std::vector<Op> ops;
    for (size_t i = from; i < std::min(paths.size(), from + REMOVALS_MAX); i++) {
      ops.push_back(removeOp(paths[i]));
    }
    MultiResult removed = co_await parts_.fenced(kj::mv(ops));
    if (removed.code != ZkCode::OK) co_return;
  }
}

Co<std::vector<std::string>> LogTrimmer::namesIn(std::string path) {
  ListResult listed = co_await parts_.session.list(path);
  if (listed.code == ZkCode::SESSION_ENDED) throwEnded();
  if (listed.code != ZkCode::OK) listed.children.clear();
  co_return kj::mv(listed.children);
}

}  // namespace muster::failover
