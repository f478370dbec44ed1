#include "coordinator/authorization.h"

#include "protocol/coordinator.capnp.h"
#include "protocol/peer.capnp.h"
#include "protocol/peer_services.capnp.h"
#include "protocol/weights.capnp.h"
#include "protocol/worker.capnp.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr RoleSet ANYONE = RoleSet::of(Role::COORDINATOR, Role::WORKER, Role::GATEWAY, Role::VIEWER,
                                       Role::OPERATOR, Role::ADMIN);
constexpr RoleSet WORKERS = RoleSet::of(Role::WORKER);
constexpr RoleSet COORDINATORS = RoleSet::of(Role::COORDINATOR);
constexpr RoleSet VIEWERS = RoleSet::of(Role::VIEWER);
// A leader asks the other coordinators how they are, and nothing else.
constexpr RoleSet VIEWERS_AND_PEERS = RoleSet::of(Role::VIEWER, Role::COORDINATOR);
constexpr RoleSet OPERATORS = RoleSet::of(Role::OPERATOR);
constexpr RoleSet ADMINS = RoleSet::of(Role::ADMIN);

constexpr uint64_t GATE = capnp::typeId<schema::Gate>();
constexpr uint64_t CLUSTER_API = capnp::typeId<schema::ClusterApi>();
constexpr uint64_t BACKUP = capnp::typeId<schema::Backup>();
constexpr uint64_t WORKER_GATE = capnp::typeId<schema::WorkerGate>();
constexpr uint64_t WORKER_SESSION = capnp::typeId<schema::WorkerSession>();
constexpr uint64_t PEER = capnp::typeId<schema::Peer>();
constexpr uint64_t PEER_SERVICES = capnp::typeId<schema::PeerServices>();
constexpr uint64_t AGENT = capnp::typeId<schema::Agent>();
constexpr uint64_t WEIGHT_GATE = capnp::typeId<schema::WeightGate>();
constexpr uint64_t MODEL_FILES = capnp::typeId<schema::ModelFiles>();

constexpr Permission PERMISSIONS[] = {
    {GATE, 0, "Gate.hello", ANYONE},
    {GATE, 1, "Gate.api", VIEWERS_AND_PEERS},
    {GATE, 2, "Gate.worker", WORKERS},
    {GATE, 3, "Gate.peer", COORDINATORS},
    {GATE, 4, "Gate.follow", ANYONE},
    {CLUSTER_API, 0, "ClusterApi.plan", VIEWERS},
    {CLUSTER_API, 1, "ClusterApi.apply", OPERATORS},
    {CLUSTER_API, 2, "ClusterApi.delete", OPERATORS},
    {CLUSTER_API, 3, "ClusterApi.scale", OPERATORS},
    {CLUSTER_API, 4, "ClusterApi.cordon", OPERATORS},
    {CLUSTER_API, 5, "ClusterApi.uncordon", OPERATORS},
    {CLUSTER_API, 6, "ClusterApi.drain", OPERATORS},
    {CLUSTER_API, 7, "ClusterApi.get", VIEWERS},
    {CLUSTER_API, 8, "ClusterApi.why", VIEWERS},
    {CLUSTER_API, 9, "ClusterApi.logs", VIEWERS},
    {CLUSTER_API, 10, "ClusterApi.adminStatus", VIEWERS_AND_PEERS},
    {CLUSTER_API, 11, "ClusterApi.stepDown", ADMINS},
    {CLUSTER_API, 12, "ClusterApi.backup", ADMINS},
    {CLUSTER_API, 13, "ClusterApi.history", VIEWERS},
    {BACKUP, 0, "Backup.read", ADMINS},
    {PEER, 0, "Peer.heartbeat", COORDINATORS},
    {PEER, 1, "Peer.suspects", COORDINATORS},
    {PEER, 2, "Peer.batches", COORDINATORS},
    {PEER, 3, "Peer.damaged", COORDINATORS},
    {PEER_SERVICES, 0, "PeerServices.olderRows", COORDINATORS},
    {PEER_SERVICES, 1, "PeerServices.actFor", COORDINATORS},
    {WORKER_GATE, 0, "WorkerGate.attach", WORKERS},
    {WORKER_SESSION, 0, "WorkerSession.heartbeat", WORKERS},
    {WORKER_SESSION, 1, "WorkerSession.weightSources", WORKERS},
    {AGENT, 0, "Agent.obey", COORDINATORS},
    {AGENT, 1, "Agent.inspectModel", COORDINATORS},
    {AGENT, 2, "Agent.readLog", COORDINATORS},
    {WEIGHT_GATE, 0, "WeightGate.open", WORKERS},
    {MODEL_FILES, 0, "ModelFiles.read", WORKERS},
    {MODEL_FILES, 1, "ModelFiles.textSize", WORKERS},
};

}  // namespace

bool RoleSet::admits(Role held) const {
  return std::any_of(std::begin(ALL_ROLES), std::end(ALL_ROLES),
                     [&](Role needed) { return contains(needed) && includes(held, needed); });
}

std::span<const Permission> allPermissions() { return PERMISSIONS; }

kj::Maybe<kj::Exception> denial(const PeerIdentity& caller, uint64_t interfaceId,
                                uint16_t methodId) {
  auto row = std::find_if(std::begin(PERMISSIONS), std::end(PERMISSIONS), [&](const Permission& p) {
    return p.interfaceId == interfaceId && p.methodId == methodId;
  });
  if (row != std::end(PERMISSIONS) && row->allowed.admits(caller.role)) return nullptr;
  auto method = row == std::end(PERMISSIONS)
                    ? kj::str("this method")
                    : kj::heapString(row->method.data(), row->method.size());
  return KJ_EXCEPTION(
      FAILED, kj::str("E0202 not allowed: ", commonName(caller).c_str(), " may not call ", method));
}

}  // namespace muster::coordinator
