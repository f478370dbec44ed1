#include "failover/snapshot_writer.h"

#include "failover/session_wait.h"

#include <algorithm>

namespace muster::failover {
namespace {

constexpr auto PAUSE_BEFORE_RETRY = 20 * kj::MILLISECONDS;
constexpr size_t CHUNKS_REMOVED_MAX = 200;  // in one multi

[[noreturn]] void throwGivenUp(const std::string& why) {
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the snapshot was given up", why.c_str()));
  KJ_UNREACHABLE;
}

bool isUnknown(ZkCode code) {
  return code == ZkCode::CONNECTION_LOSS || code == ZkCode::OTHER || code == ZkCode::NOT_REACHED;
}

// Without its chunks first, a folder cannot go. What is not done now is left to the next try.
Co<void> removeFolder(CoordinationSession& session, std::string folder, int32_t version,
                      std::vector<std::string> chunks) {
  for (size_t from = 0; from <= chunks.size(); from += CHUNKS_REMOVED_MAX) {
    size_t until = std::min(chunks.size(), from + CHUNKS_REMOVED_MAX);
    std::vector<Op> ops(1, checkOp(folder, version));
    for (size_t i = from; i < until; i++) ops.push_back(removeOp(folder + "/" + chunks[i]));
    if (until == chunks.size()) ops.push_back(removeOp(folder, version));
    MultiResult removed = co_await session.multi(kj::mv(ops));
    if (removed.code != ZkCode::OK || until == chunks.size()) co_return;
  }
}

// What earlier lives of this writer left unfinished before `own`. The leader removes it only when a
// later snapshot is finished, and where processes die often that may take long: each of them would
// leave its part in the servers' memory.
Co<void> removeAbandoned(CoordinationSession& session, Paths paths, std::string writer,
                         std::string own) {
  ListResult listed = co_await session.list(paths.snapshot());
  for (size_t i = 0; i < listed.children.size(); i++) {
    std::string name = listed.children[i];
    if (name >= own) continue;  // "current" as well
    std::string folder = paths.snapshot() + "/" + name;
    GetResult got = co_await session.get(folder);
    if (got.code != ZkCode::OK || got.data != writer) continue;
    ListResult inside = co_await session.list(folder);
    bool isFinished = std::ranges::find(inside.children, "manifest") != inside.children.end();
    if (inside.code != ZkCode::OK || isFinished) continue;
    co_await removeFolder(session, folder, got.stat.version, kj::mv(inside.children));
  }
}

}  // namespace

// The same again until the service says what became of it.
Co<MultiResult> SnapshotWriter::settled(std::vector<Op> ops) {
  for (;;) {
    co_await whenConnected(session_);
    std::vector<Op> same = ops;
    MultiResult result = co_await session_.multi(kj::mv(same));
    KJ_REQUIRE(result.code != ZkCode::NO_AUTH, "the digest for ZooKeeper is not this cluster's",
               paths_.snapshot().c_str());
    if (result.code == ZkCode::SESSION_ENDED) throwGivenUp("the ZooKeeper session ended");
    if (!isUnknown(result.code)) co_return kj::mv(result);
    co_await timer_.afterDelay(PAUSE_BEFORE_RETRY);
  }
}

Co<bool> SnapshotWriter::beginCo() {
  std::vector<Op> ops(1, createOp(paths_.snapshotFolder(index_), writer_));
  MultiResult made = co_await settled(kj::mv(ops));
  co_await removeAbandoned(session_, paths_, writer_, Paths::padded(index_.value));
  if (made.code == ZkCode::OK) co_return true;
  if (made.code != ZkCode::NODE_EXISTS) throwGivenUp(paths_.snapshot() + " is gone");
  co_return co_await takeOver();
}

// A new version of the folder stops whoever wrote here before, ourselves with a lost answer
// included; only then is it safe to say that there is no manifest.
Co<bool> SnapshotWriter::takeOver() {
  std::string folder = paths_.snapshotFolder(index_);
  GetResult got = co_await session_.get(folder);
  if (got.code != ZkCode::OK) throwGivenUp(folder + " cannot be read");
  std::vector<Op> ops(1, setOp(folder, writer_, got.stat.version));
  MultiResult taken = co_await settled(kj::mv(ops));
  if (taken.code != ZkCode::OK) throwGivenUp(folder + " is another's");
  version_ = taken.results.at(0).version;
  ListResult listed = co_await session_.list(folder);
  if (listed.code != ZkCode::OK) throwGivenUp(folder + " cannot be listed");
  for (const std::string& name : listed.children) {
    if (name == "manifest") co_return false;
  }
  co_await removeLeftovers(kj::mv(listed.children));
  co_return true;
}

Co<void> SnapshotWriter::removeLeftovers(std::vector<std::string> names) {
  std::string folder = paths_.snapshotFolder(index_);
  for (size_t from = 0; from < names.size(); from += CHUNKS_REMOVED_MAX) {
    std::vector<Op> ops(1, checkOp(folder, version_));
    for (size_t i = from; i < std::min(names.size(), from + CHUNKS_REMOVED_MAX); i++) {
      ops.push_back(removeOp(folder + "/" + names[i]));
    }
    MultiResult removed = co_await settled(kj::mv(ops));
    if (removed.code != ZkCode::OK) throwGivenUp(folder + " changed under us");
  }
}

Co<void> SnapshotWriter::addCo(ByteString payload) {
  ByteString bytes = encodeChunk(index_, chunks_, payload);
  uint64_t size = bytes.size();
  chunksHash_ = chunksHashAfter(chunksHash_, bytes);
  std::string path = paths_.snapshotChunk(index_, chunks_);
  ZkCode code = co_await create(path, kj::mv(bytes), checkOp(paths_.snapshot()));
  if (code != ZkCode::OK) throwGivenUp(path + " could not be written");
  chunks_++;
  bytes_ += size;
  co_await timer_.afterDelay(size * kj::SECONDS / std::max<uint64_t>(rate_.count, 1));
}

// OK also when an earlier sending of the same bytes had been done.
Co<ZkCode> SnapshotWriter::create(std::string path, ByteString bytes, Op andAlso) {
  std::vector<Op> ops;
  ops.push_back(checkOp(paths_.snapshotFolder(index_), version_));
  ops.push_back(createOp(path, bytes));
  ops.push_back(kj::mv(andAlso));
  MultiResult made = co_await settled(kj::mv(ops));
  if (made.code != ZkCode::NODE_EXISTS) co_return made.code;
  co_await whenConnected(session_);
  GetResult got = co_await session_.get(path);
  bool same = got.code == ZkCode::OK && got.data == bytes;
  co_return same ? ZkCode::OK : ZkCode::NODE_EXISTS;
}

void SnapshotWriter::complete(SnapshotManifest& manifest) const {
  manifest.chunks = chunks_;
  manifest.bytes = {bytes_};
  manifest.chunksHash = chunksHash_;
}

Co<void> SnapshotWriter::verifyCo(SnapshotManifest manifest,
                                  std::function<void(const ByteString&)> visit) {
  complete(manifest);
  SnapshotReader reader(session_, paths_, manifest);
  for (;;) {
    SnapshotReader::Next next = co_await reader.next();
    if (next.found == SnapshotReader::Found::END) co_return;
    if (next.found == SnapshotReader::Found::GONE) throwGivenUp("its chunks are gone");
    visit(next.payload);
    co_await timer_.afterDelay(next.payload.size() * kj::SECONDS /
                               std::max<uint64_t>(rate_.count, 1));
  }
}

// The change of `snapshot` is what a leader watches.
Co<void> SnapshotWriter::finishCo(SnapshotManifest manifest) {
  complete(manifest);
  std::string path = paths_.snapshotManifest(index_);
  Op tell = setOp(paths_.snapshot(), Paths::padded(index_.value), ANY_VERSION);
  ZkCode code = co_await create(path, encodeManifest(manifest), kj::mv(tell));
  if (code != ZkCode::OK) throwGivenUp(path + " could not be written");
}

}  // namespace muster::failover
