@0xa47f03d2986be5c1;
# Between a worker's agent and the coordinators. The worker dials every coordinator and keeps the connections;
# orders come back through the capability that it passes when it attaches.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

interface WorkerGate {              # for role worker only; its certificate's name is the node
  attach @0 (hello :WorkerHello, agent :Agent) -> (answer :AttachAnswer, session :WorkerSession);
}

struct WorkerHello {
  protocolVersion @0 :UInt32;       # 1
  cluster @1 :Text;
  node @2 :Types.Node;
  incarnation @3 :Types.Guid;       # drawn at each start of the agent
  highestOrder @4 :OrderStamp;      # what it has stored
  ranks @5 :List(RankReport);       # everything that runs or has ended and is still kept
  token @6 :Types.FencingToken;     # highest it has seen; zero if none
  weightAddress @7 :Text;           # where other workers read weights from; empty: nowhere
}

struct WeightSources {
  manifest @0 :Types.ModelManifest;
  peers @1 :List(Peer);             # best first
  checksums @2 :List(Types.Pair);   # by tensor: of the same slices on a rank that is Ready
  missing @3 :Text;                 # agent to rank: why the files of its own node will not do

  struct Peer {
    node @0 :Text;                  # as its certificate says
    address @1 :Text;               # "10.0.0.3:7411"
  }
}

struct AttachAnswer {
  union {
    accepted @0 :Accepted;
    refusal @1 :Types.Refusal;
  }
  struct Accepted {
    token @0 :Types.FencingToken;   # highest this coordinator knows
    coordinator @1 :Text;
    leading @2 :Bool;               # serving as leader now
    heartbeatMs @3 :UInt32;         # how often it wants to hear
  }
}

struct OrderStamp {                 # total order of orders to one agent
  token @0 :Types.FencingToken;
  index @1 :UInt64;                 # log index the order was derived from
}

interface WorkerSession {
  # The answer extends the lease (docs/ARCHITECTURE.md); what it says counts from the sending of the request answered.
  heartbeat @0 (report :NodeReport) -> (answer :HeartbeatAnswer);
  # Where a rank of this node may load its slices from, when the node has no files of its model. The leader alone knows.
  weightSources @1 (rank :Types.RankRef) -> (refusal :Types.Refusal, sources :WeightSources);   # code 0: told
}

struct NodeReport {
  # Whole when `base` is 0. Otherwise it tells only what differs from the report of that sequence, which the
  # coordinator has said that it keeps (HeartbeatAnswer.kept); a pointer that is null is as it was there.
  sequence @0 :UInt64;
  ranks @1 :List(RankReport);       # all ranks; with a base, those that are new or changed
  obeyed @2 :OrderStamp;            # newest order stored and being carried out
  unhealthy @3 :List(UnhealthyDevice);  # all that must not be used now; by index
  base @4 :UInt64;
  goneRanks @5 :List(Types.RankRef);    # those of the base that are no more
}

struct UnhealthyDevice {
  index @0 :UInt32;
  why @1 :Text;
}

struct HeartbeatAnswer {
  token @0 :Types.FencingToken;
  leading @1 :Bool;
  leaseRemainingMs @2 :UInt32;      # 0: no lease from this coordinator
  kept @3 :UInt64;                  # the report against which the next may be told, on this connection; 0: none
  nextMs @4 :UInt32;                # when it wants to hear again if nothing happens; 0: as told when attaching
}

struct RankReport {
  ref @0 :Types.RankRef;
  phase @1 :UInt8;                  # muster::ReplicaPhase
  reason @2 :UInt8;
  message @3 :Text;
  pid @4 :UInt32;
  processStartTime @5 :UInt64;
  loadedBytes @6 :UInt64;
  totalBytes @7 :UInt64;
  rendezvous @8 :Text;
  firstError @9 :Text;
  slices @10 :List(SliceReport);    # native, once loaded
  joinedRanks @11 :List(UInt32);    # rank 0 of a joining group: who is there
}

struct SliceReport {
  tensor @0 :Text;
  file @1 :Text;
  offsetBytes @2 :UInt64;           # absolute file position of the slice's first byte
  sizeBytes @3 :UInt64;             # of the slice itself
  shape @4 :List(UInt64);
  rangeBegin @5 :List(UInt64);      # one per dimension of the whole tensor
  rangeEnd @6 :List(UInt64);
  checksum @7 :Text;                # XXH3-64, seed 0, of the stored bytes in row-major order; 16 hex digits
}

interface Agent {
  # The node's whole desired set. Taken only if its stamp is higher than the stored one and the incarnation is ours;
  # stored durably before it is obeyed. A repeat of the stored stamp is a success.
  obey @0 (order :Order) -> (answer :ObeyAnswer);
  # Reads config.json and the safetensors headers of a model below the worker's model roots.
  inspectModel @1 (source :Text) -> (answer :InspectAnswer);
  # The last lines of a rank's output.
  readLog @2 (rank :Types.RankRef, linesMax :UInt32) -> (lines :List(Text), firstError :Text, found :Bool);
}

struct Order {
  stamp @0 :OrderStamp;
  agent @1 :Types.Guid;             # incarnation the order is for
  assignments @2 :List(Assignment);
}

struct ObeyAnswer {
  union {
    obeyed @0 :OrderStamp;
    refusal @1 :Types.Refusal;      # STALE_ORDER carries the higher stamp in `highest`
  }
  highest @2 :OrderStamp;
}

struct InspectAnswer {
  union {
    manifest @0 :Types.ModelManifest;
    refusal @1 :Types.Refusal;
  }
}

struct Assignment {                 # one rank that shall run on this node
  ref @0 :Types.RankRef;
  tenant @1 :Text;
  deployment @2 :Text;
  worldSize @3 :UInt32;
  devices @4 :List(UInt32);
  memoryBytes @5 :UInt64;           # on each device
  engine @6 :Types.Engine;
  modelSource @7 :Text;
  manifestDigest @8 :Text;          # empty: no manifest (process engine)
  plan @9 :Types.ShardPlan;
  rendezvous @10 :Text;             # where the group meets; empty until rank 0 has told it
  secret @11 :Data;                 # of the generation; goes over the control socket only
  readyTimeoutNs @12 :Int64;
  stallTimeoutNs @13 :Int64;
  drainTimeoutNs @14 :Int64;
}
