@0x9d27b1e604fc385a;
# How the ranks of one generation meet, over plain TCP between nodes. Both sides prove the generation's secret before
# anything else is said; what travels here is no secret. Part of every message: nothing, a side that sends out of turn
# is cut off.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

struct GroupMessage {
  union {
    hello @0 :Hello;            # member to rank 0
    challenge @1 :Challenge;    # rank 0 to member: its own proof, and a nonce to answer
    proof @2 :Data;             # member to rank 0: HMAC-SHA256 over both nonces and the member's ref
    welcome @3 :Void;           # rank 0 to member: counted in
    refused @4 :Text;           # either way, before closing: why
    wait @5 :Void;              # rank 0 to member of a higher generation: come again
    start @6 :Void;             # rank 0 to all: everybody is here
    alive @7 :Void;             # either way, each second after the welcome
  }

  struct Hello {
    version @0 :UInt32;         # 1
    ref @1 :Types.RankRef;
    worldSize @2 :UInt32;
    nonce @3 :Data;             # 32 random bytes
  }

  struct Challenge {
    nonce @0 :Data;
    proof @1 :Data;
  }
}
