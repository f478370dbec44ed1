@0xc4d3390702b89aed;
# The records of the coordinator's state, as the store keeps them and as they are hashed. One message Record per key;
# record.h lists the keys. A field is never reused for another meaning; units end the names.

using Cxx = import "/capnp/c++.capnp";
using Types = import "/protocol/types.capnp";
using Log = import "/protocol/log.capnp";
$Cxx.namespace("muster::schema");

struct Record {
  formatVersion @0 :UInt32;         # 1
  union {
    meta @1 :MetaRecord;
    node @2 :NodeRecord;
    model @3 :Types.ModelManifest;
    deployment @4 :DeploymentRecord;
    replica @5 :ReplicaRecord;
    generation @6 :GenerationRecord;
    rank @7 :RankRecord;
    retired @8 :RetiredRecord;
    outcome @9 :OutcomeRecord;
  }
}

struct MetaRecord {
  history @0 :Types.HistoryId;
  appliedIndex @1 :UInt64;
  clusterTimeNs @2 :Int64;          # of the newest command
  epoch @3 :UInt64;                 # of the newest leader
  leader @4 :Text;
  leaderIncarnation @5 :Types.Guid;
  schemaLevel @6 :UInt32;
  nextUid @7 :UInt64;
  capacityIndex @8 :UInt64;         # when devices last became free
}

struct CordonRecord {
  by @0 :Text;
  reason @1 :Text;
  sinceNs @2 :Int64;
  sinceWallMs @3 :Int64;
}

struct NodeRecord {
  info @0 :Types.Node;
  agent @1 :Types.Guid;
  reachability @2 :UInt8;           # muster::NodePhase
  why @3 :Text;
  suspectRemainingNs @4 :Int64;
  sinceNs @5 :Int64;
  sinceWallMs @6 :Int64;
  cordon @7 :CordonRecord;          # null: none
  drain @8 :UInt8;                  # coordinator::DrainStage
  drainForced @9 :Bool;
  describedIndex @10 :UInt64;
  orderIndex @11 :UInt64;
}

struct DeploymentRecord {
  uid @0 :UInt64;
  spec @1 :Types.DeploymentSpec;
  revision @2 :UInt64;
  templateRevision @3 :UInt64;
  createdNs @4 :Int64;
  createdWallMs @5 :Int64;
  createdBy @6 :Text;
  phase @7 :UInt8;                  # muster::DeploymentPhase
  reason @8 :UInt8;                 # muster::Reason
  message @9 :Text;
  sinceNs @10 :Int64;
  sinceWallMs @11 :Int64;
  deleting @12 :Bool;
  nextGeneration @13 :UInt64;
}

struct ReplicaRecord {
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  phase @2 :UInt8;                  # muster::ReplicaPhase
  reason @3 :UInt8;
  message @4 :Text;
  sinceNs @5 :Int64;
  sinceWallMs @6 :Int64;
  verdicts @7 :List(Log.NodeVerdict);
  fixes @8 :List(Text);
  answeredIndex @9 :UInt64;
  failedAttempts @10 :UInt32;
  retryAtNs @11 :Int64;
  firstError @12 :Text;
}

struct GenerationRecord {           # the current generation of a replica; its ranks are records of their own
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  generation @2 :UInt64;
  revision @3 :UInt64;
  plan @4 :Types.ShardPlan;
  ranks @5 :List(Types.RankPlacement);
  secret @6 :Data;                  # 32 bytes
  manifestDigest @7 :Text;
  placedIndex @8 :UInt64;
  placedAtNs @9 :Int64;
  placedWallMs @10 :Int64;
  readyAtNs @11 :Int64;             # 0: not yet
  spec @12 :Types.DeploymentSpec;   # as it was when this was placed
}

struct RankRecord {
  ref @0 :Types.RankRef;
  phase @1 :UInt8;                  # muster::ReplicaPhase
  reason @2 :UInt8;
  message @3 :Text;
  pid @4 :UInt32;
  processStartTime @5 :UInt64;
  loadedBytes @6 :UInt64;
  rendezvous @7 :Text;
  firstError @8 :Text;
  sinceNs @9 :Int64;
  sinceWallMs @10 :Int64;
}

struct RetiredRecord {
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  generation @2 :UInt64;
  tenant @3 :Text;
  name @4 :Text;
  reason @5 :UInt8;
  message @6 :Text;
  placedIndex @7 :UInt64;
  retiredIndex @8 :UInt64;
  sinceNs @9 :Int64;
  sinceWallMs @10 :Int64;
  ranks @11 :List(Types.RankPlacement);   # not released yet
}

struct OutcomeRecord {
  request @0 :Types.RequestId;
  index @1 :UInt64;
  rejected @2 :Types.Refusal;       # null: it was done
  answer @3 :Text;                  # JSON
}
