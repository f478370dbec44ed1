@0xd1c5a7e2604b93f8;
# What an agent must not forget: the file "orders" in its data directory. Fields are only added.

using Cxx = import "/capnp/c++.capnp";
using Types = import "/protocol/types.capnp";
using Worker = import "/protocol/worker.capnp";
$Cxx.namespace("muster::schema");

struct OrderFile {                    # the root of the file, in canonical form
  formatVersion @0 :UInt32;           # 1
  content @1 :Data;                   # OrderFileContent, canonical
  checksum @2 :UInt64;                # XXH3-64, seed 0, of content
}

struct OrderFileContent {
  token @0 :Types.FencingToken;       # highest seen from anybody; at least that of the order
  order @1 :Worker.Order;             # the newest that was taken
}
