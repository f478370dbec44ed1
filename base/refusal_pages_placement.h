// The rows of classes E02 (identity), E03 (conflict) and E04 (placement). Included by
// refusal_code.cpp only.
#pragma once

#include "base/refusal_code.h"

namespace muster::refusal_pages {

inline constexpr RefusalInfo IDENTITY[] = {
    {RefusalCode::NOT_AUTHENTICATED, "not logged in", 6, 401, false,
     "The peer could not prove who it is: no client certificate, one from another authority, one "
     "that\n"
     "has expired, or a name that is not role/name. Usual causes: the wrong context, or a clock "
     "that is\n"
     "far off.\n"
     "next: muster context ls, then muster context use NAME"},
    {RefusalCode::NOT_ALLOWED, "not allowed", 6, 403, false,
     "The caller is known, but its role may not do this. viewer reads, operator changes "
     "deployments and\n"
     "nodes, admin does everything; workers, gateways and coordinators may only do their own "
     "part.\n"
     "next: use a context whose certificate has the role named in the error"},
};

inline constexpr RefusalInfo CONFLICT[] = {
    {RefusalCode::REVISION_CONFLICT, "changed in the meantime", 5, 409, false,
     "The object was changed since you read it, or since the plan was made. Nothing was done, so "
     "that\n"
     "nobody's change is lost. Look at the newer revision and decide again.\n"
     "next: muster describe REF, then muster plan FILE"},
    {RefusalCode::PLAN_UNKNOWN, "unknown plan", 5, 409, false,
     "Plans live in the leader's memory and are valid while the cluster's revision is the one they "
     "were\n"
     "made for. Usual causes: the cluster changed, or another coordinator leads now.\n"
     "next: muster plan FILE, then apply the new plan id"},
    {RefusalCode::REQUEST_TOO_OLD, "request too old", 5, 409, false,
     "The request's id was drawn more than 10 minutes of cluster time ago. Outcomes are remembered "
     "that\n"
     "long only, so Muster could no longer tell a repeat from a new request. Nothing was done now; "
     "an\n"
     "earlier sending may have been carried out.\n"
     "next: muster describe REF, then ask again with a new request"},
    {RefusalCode::NOT_FOUND, "not found", 4, 404, false,
     "Nothing of that name exists in the tenant looked at. Usual causes: a misspelt name, another\n"
     "tenant (--tenant), or another cluster (--context).\n"
     "next: muster ps, or muster get nodes"},
};

inline constexpr RefusalInfo PLACEMENT[] = {
    {RefusalCode::WAITING_FOR_CAPACITY, "waiting for capacity", 8, 422, true,
     "Devices of the right kind exist, but too few are free at the same time for the whole gang. "
     "The\n"
     "replica waits and starts by itself as soon as they are. The reason names each node, what "
     "takes\n"
     "its devices, and what would free them.\n"
     "next: muster why REF"},
    {RefusalCode::MODEL_DOES_NOT_FIT, "model does not fit", 8, 422, false,
     "Even on an empty cluster no allowed cut of the model fits the memory of the devices. The "
     "error\n"
     "holds the smallest change that would: more devices per replica, larger devices, or another "
     "cut.\n"
     "next: muster plan FILE without parallel and gpus shows what the planner would take"},
    {RefusalCode::NO_MATCHING_GPU, "no matching GPU", 8, 422, false,
     "No device of the cluster, free or not, meets what gpu and placement ask: type, memory, link, "
     "pool\n"
     "or named nodes. The error counts what each condition leaves over.\n"
     "next: muster get gpus"},
    {RefusalCode::TOPOLOGY_UNSATISFIED, "topology cannot be satisfied", 8, 422, false,
     "There are enough devices, but not in one piece: tensor parallel ranks need one node or link\n"
     "island, and spread or fabric may narrow it further. Smaller tp with larger pp usually "
     "helps.\n"
     "next: muster why REF, then muster topo"},
    {RefusalCode::NO_WORKER, "no worker attached", 8, 422, true,
     "The request needs a worker (to inspect a model or to hold a rank) and none is attached that "
     "could\n"
     "do it. Usual causes: workers still starting, all cordoned, or cut off from the leader.\n"
     "next: muster get nodes"},
    {RefusalCode::DISRUPTION_BLOCKED, "disruption blocked", 1, 409, true,
     "Carrying this out would take a deployment below the replicas it must keep serving. The "
     "error\n"
     "names which deployment and what blocks it, usually another replica that is not Ready.\n"
     "next: muster why REF of the named deployment"},
};

}  // namespace muster::refusal_pages
