#include "failover/snapshot_reader.h"

#include "failover/session_wait.h"

namespace muster::failover {
namespace {

constexpr size_t CHUNKS_AHEAD = 8;  // chunks asked for at a time: half a megabyte

Co<kj::Maybe<CurrentSnapshot>> readCurrentCo(CoordinationSession& session, Paths paths) {
  for (;;) {
    co_await whenConnected(session);
    GetResult got = co_await session.get(paths.currentSnapshot());
    requireUsable(got.code, paths.currentSnapshot());
    if (got.code == ZkCode::NO_NODE) co_return kj::Maybe<CurrentSnapshot>(nullptr);
    if (got.code != ZkCode::OK) continue;
    CurrentSnapshot current{decodeManifest(got.data), got.stat.version};
    co_return kj::Maybe<CurrentSnapshot>(kj::mv(current));
  }
}

}  // namespace

kj::Promise<kj::Maybe<CurrentSnapshot>> readCurrentSnapshot(CoordinationSession& session,
                                                            Paths paths) {
  return readCurrentCo(session, std::move(paths));
}

void SnapshotReader::askAhead() {
  while (ahead_.size() < CHUNKS_AHEAD && number_ + ahead_.size() < manifest_.chunks) {
    auto number = static_cast<uint32_t>(number_ + ahead_.size());
    ahead_.push_back(session_.get(paths_.snapshotChunk(manifest_.position.index, number)));
  }
}

Co<SnapshotReader::Next> SnapshotReader::nextCo() {
  while (number_ < manifest_.chunks) {
    co_await whenConnected(session_);
    askAhead();
    kj::Promise<GetResult> first = kj::mv(ahead_.front());
    ahead_.pop_front();
    GetResult got = co_await kj::mv(first);
    requireUsable(got.code, paths_.snapshot());
    if (got.code == ZkCode::OK) co_return take(got.data);
    ahead_.clear();
    if (got.code == ZkCode::NO_NODE) {
      Next gone;
      gone.found = Found::GONE;
      co_return gone;
    }  // else the connection broke: ask again
  }
  requireWhole();
  co_return Next();
}

SnapshotReader::Next SnapshotReader::take(const ByteString& bytes) {
  Next next;
  next.found = Found::CHUNK;
  next.payload = decodeChunk(bytes, manifest_.position.index, number_);
  chunksHash_ = chunksHashAfter(chunksHash_, bytes);
  bytes_ += bytes.size();
  number_++;
  return next;
}

void SnapshotReader::requireWhole() const {
  KJ_REQUIRE(chunksHash_ == manifest_.chunksHash && bytes_ == manifest_.bytes.count,
             "SNAPSHOT_DAMAGED: the chunks are not those of the manifest",
             paths_.snapshotFolder(manifest_.position.index).c_str(), bytes_,
             manifest_.bytes.count);
}

}  // namespace muster::failover
