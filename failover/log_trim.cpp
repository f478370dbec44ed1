#include "failover/log_trim.h"

#include "failover/session_wait.h"
#include "protocol/codec.h"

#include <algorithm>
#include <charconv>

namespace muster::failover {
namespace {

constexpr auto PAUSE = 20 * kj::MILLISECONDS;
constexpr size_t REMOVALS_MAX = 200;  // in one multi

uint64_t numberOf(const std::string& name) {
  uint64_t value = 0;
  std::from_chars(name.data(), name.data() + name.size(), value);
  return value;
}

}  // namespace

// The watch is set before the look, so that no change falls between them.
Co<void> LogTrimmer::runCo() {
  for (;;) {
    co_await whenConnected(parts_.session);
    WatchResult watched = co_await parts_.session.watch(parts_.paths.snapshot());
    if (watched.code == ZkCode::SESSION_ENDED) throwSessionEnded();
    if (watched.code == ZkCode::OK) co_await look();
    co_await parts_.timer.afterDelay(PAUSE);  // also when the service itself answers oddly
    co_await kj::mv(watched.changed).exclusiveJoin(parts_.timer.afterDelay(SECOND_LOOK));
  }
}

// Whatever an earlier look or another leader left undone is done by this one.
Co<void> LogTrimmer::look() {
  GetResult told = co_await parts_.session.get(parts_.paths.snapshot());
  if (told.code != ZkCode::OK) co_return;
  LogIndex index{numberOf(told.data)};
  Current known = co_await current();
  if (index > known.position.index) {
    co_await adopt(index, known.version);
    known = co_await current();
  }
  if (known.position.batch.value == 0) co_return;
  co_await removeOlder(known.position.index);
  co_await trim(known.position.batch);
}

Co<LogTrimmer::Current> LogTrimmer::current() {
  std::string path = parts_.paths.currentSnapshot();
  Current known;
  GetResult got = co_await parts_.session.get(path);
  if (got.code != ZkCode::OK) co_return known;
  known.version = got.stat.version;
  kj::Maybe<SnapshotManifest> manifest = decoded(got, path);
  KJ_IF_MAYBE (found, manifest) known.position = found->position;
  co_return known;
}

Co<void> LogTrimmer::adopt(LogIndex index, int32_t currentVersion) {
  std::string finished = parts_.paths.snapshotManifest(index);
  GetResult got = co_await parts_.session.get(finished);
  kj::Maybe<SnapshotManifest> read = decoded(got, finished);
  if (read == nullptr) co_return;
  SnapshotManifest manifest;
  KJ_IF_MAYBE (found, read) manifest = kj::mv(*found);
  bool ours = co_await isOfThisLog(manifest);
  if (!ours) {
    parts_.logger.error("a snapshot is not of this log and is not used",
                        {{"index", index}, {"writer", manifest.writer}});
    co_return;
  }
  std::string path = parts_.paths.currentSnapshot();
  std::vector<Op> ops(1, checkOp(finished));
  ops.push_back(currentVersion < 0 ? createOp(path, got.data)
                                   : setOp(path, got.data, currentVersion));
  MultiResult set = co_await parts_.fenced(kj::mv(ops));
  if (set.code != ZkCode::OK) co_return;  // the next look sees what became of it
  parts_.logger.info("snapshot is current", {{"index", index},
                                             {"records", manifest.records},
                                             {"bytes", manifest.bytes.count},
                                             {"writer", manifest.writer}});
  if (parts_.onCurrent) parts_.onCurrent(manifest);
}

// Nothing for what is not there, and for what is damaged, which is told.
kj::Maybe<SnapshotManifest> LogTrimmer::decoded(const GetResult& got,
                                                const std::string& path) const {
  if (got.code != ZkCode::OK) return nullptr;
  kj::Maybe<SnapshotManifest> manifest;
  KJ_IF_MAYBE (damage, kj::runCatchingExceptions([&] { manifest = decodeManifest(got.data); })) {
    parts_.logger.error("a snapshot's manifest is damaged and is not used",
                        {{"path", path}, {"why", damage->getDescription()}});
    return nullptr;
  }
  return manifest;
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
  for (std::string& path : paths) path.insert(0, folder + "/");
  paths.push_back(folder);
  bool removed = co_await removeAll(kj::mv(paths));
  if (!removed) co_return;
  parts_.logger.info("snapshot removed", {{"index", index}});
}

// Ascending, so that what is left is always without holes.
Co<void> LogTrimmer::trim(BatchNumber current) {
  if (trimmed_ == current) co_return;  // a list of the log is long
  std::vector<std::string> names = co_await namesIn(parts_.paths.log());
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    if (numberOf(name) + parts_.keptBatches >= current.value) break;
    paths.push_back(parts_.paths.log() + "/" + name);
  }
  size_t count = paths.size();
  bool removed = co_await removeAll(kj::mv(paths));
  if (!removed || names.empty()) co_return;
  trimmed_ = current;
  if (count == 0) co_return;
  parts_.logger.info("log trimmed", {{"batches", count}, {"snapshot_batch", current}});
}

// False, and stops, at the first part that was not done: the next look starts with what is there
// then.
Co<bool> LogTrimmer::removeAll(std::vector<std::string> paths) {
  for (size_t from = 0; from < paths.size(); from += REMOVALS_MAX) {
    std::vector<Op> ops;
    for (size_t i = from; i < std::min(paths.size(), from + REMOVALS_MAX); i++) {
      ops.push_back(removeOp(paths[i]));
    }
    MultiResult removed = co_await parts_.fenced(kj::mv(ops));
    if (removed.code != ZkCode::OK) co_return false;
  }
  co_return true;
}

Co<std::vector<std::string>> LogTrimmer::namesIn(std::string path) {
  ListResult listed = co_await parts_.session.list(path);
  if (listed.code == ZkCode::SESSION_ENDED) throwSessionEnded();
  if (listed.code != ZkCode::OK) listed.children.clear();
  co_return kj::mv(listed.children);
}

}  // namespace muster::failover
