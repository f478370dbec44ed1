@0xe4b07c51d83f29a6;
# A snapshot of the whole state in ZooKeeper, below /muster-<cluster>/snapshot/<index>/. These bytes outlive every
# process and every version: fields are only added. Each znode holds 16 bytes, the XXH3-128 of the rest (big-endian),
# and the message, flat and canonical.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

struct SnapshotManifest {           # znode manifest, written last; snapshot/current holds a copy of the newest one
  formatVersion @0 :UInt32;         # 1
  cluster @1 :Text;
  history @2 :Types.HistoryId;
  batch @3 :UInt64;                 # number of the newest batch that is in it
  index @4 :UInt64;                 # of its last command
  chain @5 :Types.Guid;             # chain hash after it
  epoch @6 :UInt64;                 # of its leader
  leaderTimeNs @7 :Int64;           # cluster time when it was cut
  stateHash @8 :Types.Guid;         # sum of the hashes of all records
  records @9 :UInt64;
  chunks @10 :UInt32;
  bytes @11 :UInt64;                # of all chunks
  chunksHash @12 :Types.Guid;       # XXH3-128 chained over the bytes of the chunks
  writer @13 :Text;                 # id of the coordinator
  writtenWallMs @14 :Int64;         # for display only
}

struct SnapshotChunk {              # znode NNNNNNNNNN
  formatVersion @0 :UInt32;         # 1
  index @1 :UInt64;                 # of the snapshot
  number @2 :UInt32;                # dense; starts with 0
  payload @3 :Data;                 # message SnapshotRecords
}

struct SnapshotRecords {
  records @0 :List(SnapshotRecord); # ascending by key, also across chunks
}

struct SnapshotRecord {
  key @0 :Data;
  value @1 :Data;                   # message Record of coordinator/core/state.capnp
}
