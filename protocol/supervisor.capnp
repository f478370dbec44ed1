@0xf2c90d6b7a41e853;
# Between `muster up`/`muster down` and the supervisor of a local cluster, over a unix socket in a 0700 folder.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("muster::schema");

interface Supervisor {
  # Starts again what is not running, workers too; answers once every process has been started.
  startMissing @0 () -> ();
  # Stops everything, ranks too unless they are to be kept, and answers; then the supervisor ends.
  stop @1 (keepRanks :Bool) -> ();
}
