@0xd3a1c6b0f2e94715;
# Quantities and values shared by every schema. Units end the names; a field is never reused for another meaning.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("muster::schema");

struct Guid {                 # 128 random bits
  high @0 :UInt64;
  low @1 :UInt64;
}

struct HistoryId {            # a restore raises the number; an equal number with another guid is an alarm
  number @0 :UInt64;
  guid @1 :Guid;
}

struct FencingToken {         # receivers keep the highest and refuse lower ones
  history @0 :HistoryId;
  epoch @1 :UInt64;
}

struct RequestId {            # drawn by the client, stamped with the cluster time a coordinator told it
  guid @0 :Guid;
  clusterTimeNs @1 :Int64;
}

struct InputError {
  code @0 :UInt16;            # number of the E code: 104 is E0104
  path @1 :Text;
  line @2 :UInt32;            # starts with 1; 0: none
  column @3 :UInt32;
  message @4 :Text;
  hint @5 :Text;
  sourceLine @6 :Text;
}

struct Refusal {
  code @0 :UInt16;
  text @1 :Text;
  errors @2 :List(InputError);
  fixes @3 :List(Text);
}

struct Pair {
  key @0 :Text;
  value @1 :Text;
}

struct Device {
  index @0 :UInt32;
  type @1 :Text;              # "cpu", "H100"
  uuid @2 :Text;
  memoryBytes @3 :UInt64;
  island @4 :UInt32;          # devices of one island share NVLink (CPU devices: memory)
  # Null or 0 where there is nothing to say, and in logs and records below schema level 2.
  unhealthy @5 :Text;         # why it must not be used
  product @6 :Text;           # the driver's name for it
  busId @7 :Text;
  numaNodePlusOne @8 :UInt32; # 0: not known
}

struct Node {
  name @0 :Text;
  address @1 :Text;           # IP address other nodes' ranks use
  rack @2 :Text;
  labels @3 :List(Pair);      # sorted by key
  devices @4 :List(Device);   # ascending by index
  version @5 :Text;           # of the agent
  driver @6 :Text;            # of the GPUs; as the device's newer fields
}

struct Tensor {
  name @0 :Text;
  dtype @1 :UInt8;            # muster::Dtype
  shape @2 :List(UInt64);
  file @3 :UInt32;            # place in ModelManifest.files
  offsetBytes @4 :UInt64;     # of the first byte, absolute in the file
  sizeBytes @5 :UInt64;
}

struct ModelFile {
  name @0 :Text;
  sizeBytes @1 :UInt64;
  headerDigest @2 :Text;
}

struct ModelManifest {
  source @0 :Text;
  digest @1 :Text;
  configJson @2 :Text;
  files @3 :List(ModelFile);
  tensors @4 :List(Tensor);
  inspectedBy @5 :Text;
}

struct ReadyProbe {
  httpPath @0 :Text;          # empty: none
  logLine @1 :Text;           # empty: none
  timeoutNs @2 :Int64;        # 0: none
}

struct Engine {
  kind @0 :UInt8;             # muster::EngineKind
  version @1 :Text;
  args @2 :List(Pair);
  env @3 :List(Pair);
  command @4 :List(Text);
  ready @5 :ReadyProbe;
  # Not 0: the muster::EngineKind of a preset, with kind PROCESS beside it, so that an older agent refuses this rank
  # alone, for want of a command, and not the order. From schema level 2.
  preset @6 :UInt8;
}

struct PipelineStage {
  tensorParallel @0 :UInt32;      # 0: not given
  firstLayer @1 :UInt32;
  layerCount @2 :UInt32;          # 0: not given
  gpuTypes @3 :List(Text);
  gpuMemoryMinBytes @4 :UInt64;
}

struct DeploymentSpec {
  tenant @0 :Text;
  name @1 :Text;
  modelSource @2 :Text;
  modelRevision @3 :Text;
  modelSha256 @4 :Text;
  modelDtype @5 :Text;
  maxContextTokens @6 :UInt64;    # 0: not given
  aliases @7 :List(Text);
  engine @8 :Engine;
  gpus @9 :UInt32;                # 0: auto
  gpuTypes @10 :List(Text);
  gpuMemoryMinBytes @11 :UInt64;
  gpuLink @12 :Text;
  tensorParallel @13 :UInt32;     # 0: auto
  pipelineParallel @14 :UInt32;   # 0: auto
  replicas @15 :UInt32;
  pool @16 :Text;
  nodes @17 :List(Text);
  excludedNodes @18 :List(Text);
  spread @19 :UInt8;              # 0 none, else 1 + muster::Spread
  fabric @20 :UInt8;              # 0 none, else 1 + muster::Fabric
  tpWithinNode @21 :Bool;
  readyTimeoutNs @22 :Int64;
  stallTimeoutNs @23 :Int64;
  drainTimeoutNs @24 :Int64;
  expertParallel @25 :UInt32;     # 0: auto
  balance @26 :UInt8;             # 0 none, else 1 + muster::Balance
  stages @27 :List(PipelineStage);  # null: none. From schema level 3
}

struct ShardPlan {
  tensorParallel @0 :UInt32;
  pipelineParallel @1 :UInt32;
  stageFirstLayer @2 :List(UInt32);
  rankWeightBytes @3 :List(UInt64);
  rankMemoryBytes @4 :List(UInt64);
  expertParallel @5 :UInt32;      # 0 means 1, so that plans without experts keep their bytes
  weightFormat @6 :UInt8;         # muster::WeightFormat
}

struct RankPlacement {
  rank @0 :UInt32;
  node @1 :Text;
  devices @2 :List(UInt32);
  memoryBytes @3 :UInt64;         # reserved on each device
}

struct RankRef {                  # one rank of one generation of one replica
  deploymentUid @0 :UInt64;
  replica @1 :UInt32;
  generation @2 :UInt64;
  rank @3 :UInt32;
}
