@0xd1a7c3f05e2b9846;
# What one coordinator does for another, beyond telling that it lives.

using Cxx = import "/capnp/c++.capnp";
using Coordinator = import "coordinator.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

interface PeerServices extends(Coordinator.ClusterApi) {  # every ClusterApi is one; more is allowed to coordinators only
  # Events and audit rows of the indices in [from, before), or of the newest of them: as much as the one asked has and
  # gives at once. An empty part where it has none, or is of another history.
  olderRows @0 (history :Types.HistoryId, from :UInt64, before :UInt64) -> (part :HistoryPart);
  # What `caller` ("operator/anna"), who came to the coordinator that asks, may do here; for calls that it passes on.
  actFor @1 (caller :Text, address :Text) -> (api :Coordinator.ClusterApi);
}

struct HistoryPart {                # of the indices in [from, before)
  from @0 :UInt64;
  before @1 :UInt64;
  events @2 :List(Data);            # messages StoredEvent of coordinator/store.capnp, in log order
  audit @3 :List(Data);             # messages AuditRecord, in log order
}
