// Reading snapshots: which one is current, and its chunks in order, each proven before it is given
// out.
#pragma once

#include "base/co.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "failover/snapshot_format.h"

#include <kj/async.h>

#include <deque>

namespace muster::failover {

struct CurrentSnapshot {
  SnapshotManifest manifest;
  int32_t version = 0;  // of the znode
};

// What snapshot/current names; nothing while there has been no snapshot (a server that is behind
// may show an older past: write on this session before). Throws DISCONNECTED when the session ends,
// FAILED (SNAPSHOT_DAMAGED) for bytes that are no manifest.
kj::Promise<kj::Maybe<CurrentSnapshot>> readCurrentSnapshot(CoordinationSession& session,
                                                            Paths paths);

class SnapshotReader {
 public:
  enum class Found {
    CHUNK,
    END,   // all chunks were given out, and they add up to what the manifest says
    GONE,  // a newer snapshot took its place meanwhile: start again at the current one
  };
  struct Next {
    Found found = Found::END;
    ByteString payload;
  };

  SnapshotReader(CoordinationSession& session, Paths paths, SnapshotManifest manifest)
      : session_(session), paths_(std::move(paths)), manifest_(std::move(manifest)) {}
  KJ_DISALLOW_COPY(SnapshotReader);

  // Throws DISCONNECTED when the session ends, FAILED (SNAPSHOT_DAMAGED, naming the znode) when
  // what is there is not what was written.
  kj::Promise<Next> next() { return nextCo(); }

  const SnapshotManifest& manifest() const { return manifest_; }

 private:
  Co<Next> nextCo();
  void askAhead();
  Next take(const ByteString& bytes);
  void requireWhole() const;

  CoordinationSession& session_;
  Paths paths_;
  SnapshotManifest manifest_;
  uint32_t number_ = 0;  // of the next chunk
  uint64_t bytes_ = 0;
  Guid chunksHash_;
  std::deque<kj::Promise<GetResult>> ahead_;  // from `number_` on
};

}  // namespace muster::failover
