@0xc06d9be4a1f87325;
# What clients may ask a coordinator. Objects travel as JSON with the field names of the YAML, made once in the
# coordinator, so that CLI, HTTP and dashboard show the same; one table says which role may call which method.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
using Peer = import "peer.capnp";
using Worker = import "worker.capnp";
$Cxx.namespace("muster::schema");

interface Gate {                    # bootstrap of the coordinator's RPC port; knows its caller's certificate
  hello @0 () -> (info :ServerInfo);
  api @1 () -> (api :ClusterApi);
  worker @2 () -> (gate :Worker.WorkerGate);
  peer @3 () -> (peer :Peer.Peer);
  # Answered as soon as this coordinator knows a higher epoch than the caller, or begins or ends to serve in it: how
  # clients and workers hear of a new leader on the connections that they have. A worker is answered when it begins to
  # serve, and not before.
  follow @4 (epoch :UInt64, serving :Bool) -> (info :ServerInfo);
}

struct ServerInfo {
  cluster @0 :Text;
  history @1 :Types.HistoryId;
  epoch @2 :UInt64;                 # highest this coordinator knows
  coordinator @3 :Text;
  stage @4 :UInt8;                  # 0 standby, 1 elected, 2 caught up, 3 serving
  leader @5 :Text;                  # coordinator id; empty: unknown
  leaderAddress @6 :Text;
  clusterTimeNs @7 :Int64;          # to stamp request ids with
  appliedIndex @8 :UInt64;
  version @9 :Text;
  stateHash @10 :Types.Guid;        # of the whole state; absent while commands are in flight
  stateHashIndex @11 :UInt64;       # the index it is of
  fencedAttempts @12 :UInt64;       # appends, checks, orders and answers given up or refused: epoch or session over
  wrongGuesses @13 :UInt64;         # leaders that this process took for dead and that lived
  schemaLevelMax @14 :UInt32;       # this binary understands all levels up to it; 0: it is older than the field, 1
  alarms @15 :List(Alarm);          # that are not over
  cutOffMs @16 :UInt64;             # since when it has no session with the coordination service; 0: it has one
}

struct Alarm {
  name @0 :Text;                    # "zookeeper_empty"
  text @1 :Text;                    # what happened, what is held here, what to do next
}

struct CallHeader {
  request @0 :Types.RequestId;      # same id = same request, whatever is retried
  lastIndex @1 :UInt64;             # highest index the client has seen; never answered from before it
  history @2 :Types.HistoryId;      # that lastIndex is of; absent: of whatever history the coordinator is in
}

struct ReadOptions {
  stale @0 :Bool;                   # any coordinator, from what it has applied
  afterIndex @1 :UInt64;            # not 0: wait until something newer than this index is there
  waitMs @2 :UInt32;                # for at most this long
}

struct Outcome {
  union {
    json @0 :Text;
    refusal @1 :Types.Refusal;
  }
  index @2 :UInt64;                 # log index the answer rests on
  epoch @3 :UInt64;
  stale @4 :Bool;
  ageMs @5 :UInt32;                 # stale answers: since the last proof that this was the newest state
}

struct Target {                     # [tenant/]deployment[/replica[/rank]] or a node's name
  text @0 :Text;
}

interface ClusterApi {
  # showCommands: the answer holds what each rank will be started with.
  plan @0 (header :CallHeader, documents :Text, fileName :Text, showCommands :Bool) -> (outcome :Outcome);
  # documents or planId; expectedRevision 0: any.
  apply @1 (header :CallHeader, documents :Text, fileName :Text, planId :Text, expectedRevision :UInt64,
            dryRun :Bool) -> (outcome :Outcome);
  delete @2 (header :CallHeader, deployment :Text, expectedRevision :UInt64, dryRun :Bool) -> (outcome :Outcome);
  scale @3 (header :CallHeader, deployment :Text, replicas :UInt32, expectedRevision :UInt64, dryRun :Bool)
      -> (outcome :Outcome);
  cordon @4 (header :CallHeader, node :Text, reason :Text, dryRun :Bool) -> (outcome :Outcome);
  uncordon @5 (header :CallHeader, node :Text, dryRun :Bool) -> (outcome :Outcome);
  drain @6 (header :CallHeader, node :Text, reason :Text, force :Bool, dryRun :Bool) -> (outcome :Outcome);
  # kind: cluster, nodes, gpus, deployments, replicas, ranks, events, models; target: empty for all, "tenant/" for
  # all of a tenant. Events: with afterIndex, only those above it.
  get @7 (header :CallHeader, kind :Text, target :Text, options :ReadOptions) -> (outcome :Outcome);
  why @8 (header :CallHeader, deployment :Text, options :ReadOptions) -> (outcome :Outcome);
  logs @9 (header :CallHeader, target :Text, linesMax :UInt32, firstError :Bool) -> (outcome :Outcome);
  adminStatus @10 (header :CallHeader) -> (outcome :Outcome);
  # Answered by the leader; empty successor: the next in line.
  stepDown @11 (header :CallHeader, successor :Text) -> (outcome :Outcome);
  # Of everything committed when it was asked; stale: of what any coordinator has in its store.
  backup @12 (header :CallHeader, stale :Bool) -> (outcome :Outcome, backup :Backup);
  # Objects as they were after the command `index`, or, when that is 0, at the time `wallMs`. kind and target as in get.
  history @13 (header :CallHeader, index :UInt64, wallMs :Int64, kind :Text, target :Text) -> (outcome :Outcome);
}

# A backup under way: the store as it was after one batch. Given up ten minutes after it was asked for.
interface Backup {
  read @0 () -> (bytes :Data, isLast :Bool);  # the next bytes of the file (protocol/backup_format.h)
}
