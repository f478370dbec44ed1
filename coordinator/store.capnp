@0x9f6c2d81b7e04a35;
# Values of the coordinator's own store (coordinator/state_store.h says under which keys). Fields are only added.

using Cxx = import "/capnp/c++.capnp";
using Types = import "/protocol/types.capnp";
$Cxx.namespace("muster::schema");

struct StoreMeta {                  # family meta, key "meta": written with each batch
  formatVersion @0 :UInt32;         # 1
  cluster @1 :Text;
  history @2 :Types.HistoryId;
  batch @3 :UInt64;                 # number of the newest batch applied; 0: none
  index @4 :UInt64;                 # of its last command
  chain @5 :Types.Guid;             # chain hash after it
  epoch @6 :UInt64;                 # of its leader
  leaderTimeNs @7 :Int64;           # cluster time when it was cut
  historyFrom @8 :UInt64 = 1;       # events and audit rows from this index on are here
}

struct StoredEvent {                # family history, key: index (8 bytes, big-endian), ordinal (4 bytes, big-endian)
  index @0 :UInt64;
  ordinal @1 :UInt32;
  atNs @2 :Int64;                   # cluster time
  wallMs @3 :Int64;                 # for display only
  severity @4 :UInt8;               # muster::coordinator::Severity
  type @5 :Text;
  object @6 :Text;
  tenant @7 :Text;
  message @8 :Text;
  principal @9 :Text;
}

struct AuditRecord {                # family audit, key: index (8 bytes, big-endian)
  request @0 :Types.RequestId;
  index @1 :UInt64;
  principal @2 :Text;
  outcome @3 :Text;                 # "accepted", or the code of the refusal: "E0301"
}
