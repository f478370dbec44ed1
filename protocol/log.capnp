@0xb8e2f74d10c5a963;
# The replicated command log. These bytes outlive every process and every version: fields are only added, an unknown
# command stops the reader. A batch lies in one znode /muster-<cluster>/log/NNNNNNNNNN.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

struct Batch {
  formatVersion @0 :UInt32;         # 1
  history @1 :Types.HistoryId;
  epoch @2 :UInt64;                 # of the leader that wrote it
  number @3 :UInt64;                # dense; the znode's name; starts with 1
  firstIndex @4 :UInt64;            # of the first command; the first command ever has index 1
  leaderTimeNs @5 :Int64;           # cluster time when the batch was cut
  wallTimeMs @6 :Int64;             # for display only
  id @7 :Types.Guid;                # tells our own batch from another's of the same number
  previousChain @8 :Types.Guid;     # chain hash of the batch before; zero before the first
  stateHashIndex @9 :UInt64;        # 0: no state hash in this batch
  stateHash @10 :Types.Guid;        # of the state after stateHashIndex
  commands @11 :List(Data);         # each one message Command
  checksumHigh @12 :UInt64;         # XXH3-128 of these bytes with both halves of the checksum all ones
  checksumLow @13 :UInt64;
}

struct Command {
  schemaVersion @0 :UInt32;         # schema level of the state it was decided on; who does not understand it stops
  principal @1 :Text;               # "admin/alice", "coordinator/co1": who asked
  request @2 :Types.RequestId;      # zero for what the leader decided by itself
  decidedAtNs @3 :Int64;            # cluster time, stamped once by the leader
  decidedWallMs @4 :Int64;          # for display only
  union {
    leaderStarted @5 :LeaderStarted;
    nodeRegistered @6 :NodeRegistered;
    nodePhaseChanged @7 :NodePhaseChanged;
    nodeCordoned @8 :NodeCordoned;
    nodeUncordoned @9 :Text;
    nodeDrainStarted @10 :NodeDrainStarted;
    modelRecorded @11 :Types.ModelManifest;
    deploymentApplied @12 :DeploymentApplied;
    deploymentScaled @13 :DeploymentScaled;
    deploymentDeleted @14 :DeploymentDeleted;
    replicaPlaced @15 :ReplicaPlaced;
    replicaWaiting @16 :ReplicaWaiting;
    rankProgressed @17 :RankProgressed;
    replicaRetired @18 :ReplicaRetired;
    ranksReleased @19 :RanksReleased;
    nodeDrained @20 :Text;
    schemaLevelRaised @21 :SchemaLevelRaised;
  }
}

struct LeaderStarted {
  leader @0 :Text;
  epoch @1 :UInt64;
  reason @2 :Text;                  # "first leader", "session of co1 ended", "handed over by co1"
  incarnation @3 :Types.Guid;
}

struct NodeRegistered {             # first hello of an agent's life, or a changed description
  node @0 :Types.Node;
  agent @1 :Types.Guid;
}

struct NodePhaseChanged {
  node @0 :Text;
  phase @1 :UInt8;                  # muster::NodePhase: READY, UNREACHABLE, LOST
  why @2 :Text;
  suspectRemainingNs @3 :Int64;     # of the lease at that time; bounds what a new leader must wait
}

struct NodeCordoned {
  node @0 :Text;
  reason @1 :Text;
}

struct NodeDrainStarted {
  node @0 :Text;
  reason @1 :Text;
  force @2 :Bool;
}

struct DeploymentApplied {
  spec @0 :Types.DeploymentSpec;
  uid @1 :UInt64;                   # used if the deployment is new
  expectedRevision @2 :UInt64;      # 0: any
}

struct DeploymentScaled {
  tenant @0 :Text;
  name @1 :Text;
  replicas @2 :UInt32;
  expectedRevision @3 :UInt64;
}

struct DeploymentDeleted {
  tenant @0 :Text;
  name @1 :Text;
  expectedRevision @2 :UInt64;
}

struct ReplicaPlaced {              # a new generation of a replica: all of its ranks or none
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  generation @2 :UInt64;
  revision @3 :UInt64;              # of the spec it was placed for
  plan @4 :Types.ShardPlan;
  ranks @5 :List(Types.RankPlacement);
  secret @6 :Data;                  # 32 bytes that members of this generation prove; never shown
}

struct NodeVerdict {
  node @0 :Text;
  verdict @1 :Text;                 # "busy", "fits", "short", "type", "health", "cordoned"
  detail @2 :Text;
}

struct ReplicaWaiting {             # why a replica has no place; logged when the answer changes
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  reason @2 :UInt8;                 # muster::Reason
  message @3 :Text;
  verdicts @4 :List(NodeVerdict);
  fixes @5 :List(Text);
}

struct RankProgressed {             # a change of a rank's phase
  rank @0 :Types.RankRef;
  phase @1 :UInt8;                  # muster::ReplicaPhase
  reason @2 :UInt8;                 # muster::Reason
  message @3 :Text;
  pid @4 :UInt32;                   # 0: no process
  processStartTime @5 :UInt64;      # field 22 of /proc/PID/stat
  loadedBytes @6 :UInt64;
  rendezvous @7 :Text;              # rank 0 only: "10.0.0.3:41001" where its group meets
  firstError @8 :Text;              # the first error line and what led to it; kept
}

struct ReplicaRetired {             # ends a generation; its devices stay taken until the ranks are released
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  generation @2 :UInt64;
  reason @3 :UInt8;
  message @4 :Text;
}

struct RanksReleased {              # the agent of the node said that nothing of these runs there any more
  node @0 :Text;
  ranks @1 :List(Types.RankRef);
}

struct SchemaLevelRaised {          # every configured coordinator has reported that it understands the level
  level @0 :UInt32;
  understoodBy @1 :List(Text);      # coordinator ids
}

struct EpochRecord {                # data of /muster-<cluster>/epoch
  formatVersion @0 :UInt32;
  history @1 :Types.HistoryId;
  epoch @2 :UInt64;
  leader @3 :Text;                  # coordinator id; empty before the first leader
  guid @4 :Types.Guid;              # of the leader's candidate
  sessionId @5 :Int64;
  cluster @6 :Text;
  leaderAddress @7 :Text;           # RPC address
}

struct CandidateRecord {            # data of /muster-<cluster>/candidates/c-<guid>-NNNNNNNNNN
  coordinator @0 :Text;
  incarnation @1 :Types.Guid;
  rpcAddress @2 :Text;
  logVersionMin @3 :UInt32;         # formats this binary understands
  logVersionMax @4 :UInt32;
  guid @5 :Types.Guid;
}
