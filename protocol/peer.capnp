@0x9be2f0c41d7a6835;
# Between coordinators: who lives, and who hears the leader. Nothing here decides who leads; a guess of death only
# starts a takeover sooner.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

interface Peer {                    # for role coordinator only
  # Asked each 100 ms, answered at once.
  heartbeat @0 () -> (state :PeerState);
  # Whether the coordinator asked suspects this leader too: silent, or cut off from the coordination service.
  suspects @1 (leader :Leader) -> (suspects :Bool);
  # Batches as the log holds or held them, verified, of the newest that the one asked keeps; none where it keeps none.
  batches @2 (from :UInt64, countMax :UInt32) -> (batches :List(Data));
  # The record of that batch was found damaged or missing: whoever leads looks at it now.
  damaged @3 (batch :UInt64);
}

struct PeerState {
  coordinator @0 :Text;
  incarnation @1 :Types.Guid;       # drawn at each start of the process
  token @2 :Types.FencingToken;     # highest it knows
  serving @3 :Bool;                 # as leader of that epoch
  checkAgeMs @4 :UInt32;            # since its last committed check of the epoch was sent; only while serving
  connected @5 :Bool;               # its session of the coordination service is
  position @6 :Position;            # of the newest batch that it has committed and stored
}

struct Position {
  history @0 :Types.HistoryId;
  batch @1 :UInt64;                 # 0: none
  index @2 :UInt64;                 # of its last command
  chain @3 :Types.Guid;             # after it
  epoch @4 :UInt64;                 # of its leader
}

struct Leader {
  coordinator @0 :Text;
  incarnation @1 :Types.Guid;
  token @2 :Types.FencingToken;     # that it leads in
}
