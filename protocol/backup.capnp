@0xa8f05c3e19b7d264;
# What the first and the last frame of a backup file hold (protocol/backup_format.h says how the file is made). Fields
# are only added.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

struct BackupHeader {
  cluster @0 :Text;
  history @1 :Types.HistoryId;
  batch @2 :UInt64;                 # the newest batch applied; the state is as after it
  index @3 :UInt64;                 # of its last command
  chain @4 :Types.Guid;             # chain hash after it
  epoch @5 :UInt64;                 # of its leader
  leaderTimeNs @6 :Int64;           # cluster time when it was cut
  schemaLevel @7 :UInt32;           # a binary below it cannot read the records
  coordinator @8 :Text;             # whose store it was read from
  version @9 :Text;                 # of that coordinator
  wallMs @10 :Int64;                # when it was made; for display only
  historyFrom @11 :UInt64;          # events and audit rows from this index on are in it
}

struct BackupEnd {
  records @0 :UInt64;               # how many there are of each
  events @1 :UInt64;
  auditRows @2 :UInt64;
  stateHash @3 :Types.Guid;         # of the records
  fileHash @4 :Types.Guid;          # XXH3-128 of every byte before this frame
}
