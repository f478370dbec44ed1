// The bytes of a snapshot's znodes; protocol/snapshot.capnp describes them. Pure.
#pragma once

#include "protocol/batch.h"

#include <cstdint>
#include <string>

namespace muster::failover {

// What a snapshot is of, and what its chunks must add up to.
struct SnapshotManifest {
  ClusterName cluster;
  HistoryId history;
  LogPosition position;
  Guid stateHash;
  uint64_t records = 0;
  uint32_t chunks = 0;
  Bytes bytes;  // of all chunks, as their znodes hold them
  Guid chunksHash;
  CoordinatorId writer;
  WallTime written;
  bool operator==(const SnapshotManifest&) const = default;
};

// Throw FAILED ("SNAPSHOT_DAMAGED ...") for bytes that are not what was written, UNIMPLEMENTED for
// an unknown format.
ByteString encodeManifest(const SnapshotManifest& manifest);
SnapshotManifest decodeManifest(const ByteString& bytes);

ByteString encodeChunk(LogIndex snapshot, uint32_t number, const ByteString& payload);
// The payload of the chunk that shall be number `number` of `snapshot`.
ByteString decodeChunk(const ByteString& bytes, LogIndex snapshot, uint32_t number);

// Of the chunks so far and one more; starts from zero.
Guid chunksHashAfter(const Guid& before, const ByteString& chunk);

}  // namespace muster::failover
