@0xe91c58a7b3046f2d;
# Between the agent and one native rank process: a unix socket in a 0700 folder, the peer checked by SO_PEERCRED.
# The rank serves, so that a restarted agent can come back to it.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
using Worker = import "worker.capnp";
$Cxx.namespace("muster::schema");

interface RankControl {
  # Sent once. A repeat with the same ref is a success; another ref is refused.
  start @0 (task :RankTask) -> (refusal :Types.Refusal);    # code 0: taken
  # What the rank is doing. Answers at once.
  status @1 () -> (report :Worker.RankReport);
  # Where rank 0 of the group listens, told as soon as it is known.
  meet @2 (rendezvous :Text) -> ();
  # Leaves the group, stops and exits with 0.
  stop @3 () -> ();
  # Goes on in a higher generation with the weights it has; `assignment` differs from the one before in generation,
  # secret and rendezvous only. A repeat is a success; anything else is refused, and the rank goes on as it was.
  advance @4 (assignment :Worker.Assignment) -> (refusal :Types.Refusal);   # code 0: taken
}

struct RankTask {
  assignment @0 :Worker.Assignment;
  modelDirectory @1 :Text;          # resolved, below a model root
  listenAddress @2 :Text;           # IP address to listen on for the group
  manifest @3 :Types.ModelManifest;
  joinTimeoutNs @4 :Int64;
  modelRoots @5 :List(Text);        # resolved; every file of the model must lie below one of them
  tls @6 :TlsPaths;                 # the node's own certificate: rank 0 answers requests with it
  gpu @7 :Text;                     # UUID of the GPU to compute on; empty: the CPU
  cluster @8 :Text;                 # as certificates say
  weights @9 :Worker.WeightSources; # without the manifest; no peers: the files of this node
  cacheFolder @10 :Text;            # for slices that came from other nodes; empty: none
  cacheBytesMax @11 :UInt64;        # of all that is kept there
}

struct TlsPaths {                   # PEM files; empty: nobody is answered
  ca @0 :Text;
  certificate @1 :Text;
  key @2 :Text;
}
