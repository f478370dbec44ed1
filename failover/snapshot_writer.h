// Writes one snapshot, chunk by chunk, and proves it by reading it back. It becomes the current one
// by the leader's word alone (log_trim.h), so a writer that dies or lags leaves nothing but
// leftovers.
#pragma once

#include "base/co.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "failover/snapshot_format.h"
#include "failover/snapshot_reader.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <functional>
#include <string>

namespace muster::failover {

// A chunk's payload is cut here; a single record may be larger.
constexpr Bytes SNAPSHOT_PAYLOAD_MAX = 60_KiB;  // the znode stays below 64 KiB

class SnapshotWriter {
 public:
  // `writer` is told in the folder: whoever finds it there knows that it is not his own. `rate` in
  // bytes a second.
  SnapshotWriter(CoordinationSession& session, kj::Timer& timer, Paths paths, LogIndex index,
                 std::string writer, Bytes rate)
      : session_(session),
        timer_(timer),
        paths_(std::move(paths)),
        index_(index),
        writer_(std::move(writer)),
        rate_(rate) {}
  KJ_DISALLOW_COPY(SnapshotWriter);

  // Each is awaited before the next is called: one request is in flight at a time. All throw
  // DISCONNECTED when the session ends or another writer took the folder (give up, and try again
  // later with a new writer), FAILED for what needs a person.

  // Makes the folder ours, removing what a writer that died left in it, and what earlier lives of
  // this writer left unfinished before it. False when it holds a finished snapshot already.
  kj::Promise<bool> begin() { return beginCo(); }
  kj::Promise<void> add(ByteString payload) { return addCo(std::move(payload)); }
  // Reads all chunks back; `visit` sees each payload, in order. `manifest` is what they must add up
  // to; counts and hashes of chunks are filled in.
  kj::Promise<void> verify(SnapshotManifest manifest,
                           std::function<void(const ByteString&)> visit) {
    return verifyCo(std::move(manifest), std::move(visit));
  }
  // Writes the manifest and tells the leader.
  kj::Promise<void> finish(SnapshotManifest manifest) { return finishCo(std::move(manifest)); }

 private:
  Co<bool> beginCo();
  Co<void> addCo(ByteString payload);
  Co<void> verifyCo(SnapshotManifest manifest, std::function<void(const ByteString&)> visit);
  Co<void> finishCo(SnapshotManifest manifest);
  Co<bool> takeOver();
  Co<void> removeLeftovers(std::vector<std::string> names);
  Co<ZkCode> create(std::string path, ByteString bytes, Op andAlso);
  Co<MultiResult> settled(std::vector<Op> ops);
  void complete(SnapshotManifest& manifest) const;

  CoordinationSession& session_;
  kj::Timer& timer_;
  Paths paths_;
  LogIndex index_;
  std::string writer_;
  Bytes rate_;
  int32_t version_ = 0;  // of the folder, while it is ours
  uint32_t chunks_ = 0;
  uint64_t bytes_ = 0;
  Guid chunksHash_;
};

}  // namespace muster::failover
