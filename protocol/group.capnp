@0x9d27b1e604fc385a;
# How the ranks of one generation meet, and how those on different hosts open the connections that carry their
# collectives, over plain TCP between nodes. Both sides prove the generation's secret before
# anything else is said; what travels here is no secret. Part of every message: nothing, a side that sends out of turn
# is cut off.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

struct GroupMessage {
  union {
    hello @0 :Hello;            # member to rank 0
    challenge @1 :Challenge;    # rank 0 to member: its own proof, and a nonce to answer
    proof @2 :Data;             # member to rank 0: HMAC-SHA256 over both nonces and what the hello says
    welcome @3 :Void;           # rank 0 to member: counted in
    refused @4 :Text;           # either way, before closing: why
    wait @5 :Void;              # rank 0 to member of a higher generation: come again
    start @6 :Void;             # not sent any more
    alive @7 :Void;             # either way, each second after the welcome
    begin @8 :List(Card);       # rank 0 to all: everybody is here, and how each is reached; by rank
    broken @9 :Text;            # rank 0 to all, after begin: a rank has left; why
  }

  struct Hello {
    version @0 :UInt32;         # 2
    ref @1 :Types.RankRef;
    worldSize @2 :UInt32;
    nonce @3 :Data;             # 32 random bytes
    card @4 :Card;              # rendezvous only
    to @5 :UInt32;              # the rank that listens: 0 at the rendezvous
    data @6 :Bool;              # this connection is to carry the collectives between the two ranks
  }

  # How a rank is reached by its group. Bound by the proofs, as all of the hello is.
  struct Card {
    host @0 :Text;              # equal where memory can be shared; empty: nowhere
    dataAddress @1 :Text;       # "10.0.0.3:41002", where it takes data connections
    pid @2 :UInt32;             # /proc/PID/fd/FD is its memory, for those on its host
    memoryFd @3 :Int32;
  }

  struct Challenge {
    nonce @0 :Data;
    proof @1 :Data;
  }
}
