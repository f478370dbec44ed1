// The rows of classes E05 (node and GPU), E06 (engine), E07 (cluster), E09 (internal). For
// refusal_code.cpp only.
#pragma once

#include "base/refusal_code.h"

namespace muster::refusal_pages {

inline constexpr RefusalInfo NODE[] = {
    {RefusalCode::NODE_LOST, "node lost", 1, 503, true,
     "The worker of the node has not been heard for longer than its lease. Its replicas get a new\n"
     "generation elsewhere; its devices stay taken until the worker says that they are empty. "
     "Usual\n"
     "causes: the machine is down, the agent was stopped, or the network is cut.\n"
     "next: muster describe NODE, then systemctl status muster-worker on the node"},
    {RefusalCode::NODE_DRAINING, "node is draining", 1, 409, true,
     "The node gives its work away and takes nothing new. This lasts until it is uncordoned.\n"
     "next: muster describe NODE, then muster uncordon NODE"},
    {RefusalCode::NODE_CONFLICT, "node name is taken", 1, 409, false,
     "Another agent already speaks for this node. Two machines with one name would be given the "
     "same\n"
     "devices twice. Usual causes: a worker.toml copied from another machine, or two agents on "
     "one.\n"
     "next: give one of them another name in worker.toml"},
    {RefusalCode::GPU_UNUSABLE, "GPU cannot be used", 1, 500, true,
     "A rank of the native engine cannot compute on the GPU that it was placed on. It never takes "
     "the\n"
     "CPU instead. Usual causes: the package muster-engine-cuda is not installed, CUDA's libraries "
     "are not\n"
     "installed, or the driver is too old; the text says which.\n"
     "next: what the text says, or another engine"},
};

inline constexpr RefusalInfo ENGINE[] = {
    {RefusalCode::ENGINE_EXITED, "engine exited", 1, 500, true,
     "A rank's program ended although it should serve. The first error and the last lines of its "
     "log\n"
     "are kept; other ranks of the replica stop as a consequence and are not to blame.\n"
     "next: muster logs REF --first-error"},
    {RefusalCode::RANK_CRASHED, "rank crashed", 1, 500, true,
     "A rank was ended by a signal. Signal 9 without anyone's doing usually means that the kernel "
     "ran\n"
     "out of memory; 11 and 6 are faults of the engine.\n"
     "next: muster logs REF --first-error, then dmesg on the node"},
    {RefusalCode::OUT_OF_GPU_MEMORY, "out of GPU memory", 1, 500, false,
     "A device had less free memory than the rank needs. Usual cause: another program holds memory "
     "of\n"
     "the same device, or the engine was told to use more than was planned.\n"
     "next: muster describe NODE, then lower max_context or use more devices"},
    {RefusalCode::RANK_STALLED, "rank stalled", 1, 504, true,
     "A rank made no progress for as long as timeouts.stall allows and is named, so that it can "
     "be\n"
     "found among many. Usual causes: slow or hanging storage, or a collective waiting for a lost "
     "peer.\n"
     "next: muster logs REF --first-error; for slow storage raise timeouts.stall"},
    {RefusalCode::JOIN_TIMEOUT, "ranks did not meet", 1, 504, true,
     "Not all ranks of a replica came to the rendezvous in time. The message counts who is there "
     "and\n"
     "names who is missing. Usual causes: a firewall between nodes, or a rank that failed "
     "earlier.\n"
     "next: muster why REF, then muster logs of the missing rank"},
    {RefusalCode::HEALTH_CHECK_FAILED, "health check failed", 1, 500, true,
     "The engine runs but does not answer its readiness path, or answers with an error.\n"
     "next: muster logs REF; check engine.ready in the deployment"},
    {RefusalCode::WEIGHTS_CORRUPT, "weights are corrupt", 1, 500, false,
     "What a rank read differs from what the manifest says: size, type or checksum. The rank does "
     "not\n"
     "serve, since its answers would be wrong. Usual causes: a file changed after it was "
     "inspected, or\n"
     "a failing disk.\n"
     "next: copy the named file again, then muster apply FILE"},
    {RefusalCode::FETCH_FAILED, "fetching the model failed", 1, 502, true,
     "The model could not be brought to the node. The message holds the cause as the source or "
     "the\n"
     "disk reported it.\n"
     "next: muster why REF; check free disk space and access to the source"},
};

inline constexpr RefusalInfo CLUSTER[] = {
    {RefusalCode::NO_LEADER, "no leader", 7, 503, true,
     "No coordinator leads at the moment, so nothing can be changed; what serves goes on serving. "
     "A new\n"
     "leader usually takes over within a second. If it lasts, fewer than half of the ZooKeeper "
     "servers\n"
     "are reachable, or every coordinator is down.\n"
     "next: muster admin status"},
    {RefusalCode::NOT_LEADER, "not the leader", 7, 503, true,
     "The coordinator asked does not lead. Clients find the leader by themselves and ask again; "
     "seeing\n"
     "this means that they were refused by each address of the context.\n"
     "next: muster admin status"},
    {RefusalCode::OVERLOADED, "overloaded", 7, 503, true,
     "A queue of the coordinator is full; the request was refused before anything was done. Wait "
     "a\n"
     "little and ask again.\n"
     "next: repeat the command"},
    {RefusalCode::HISTORY_MISMATCH, "another history", 7, 503, false,
     "Two parts of the cluster remember different pasts: a store or a ZooKeeper was restored, "
     "replaced\n"
     "or mixed up with that of another cluster. Nothing is changed until this is resolved.\n"
     "next: muster admin status shows the history of each coordinator"},
    {RefusalCode::STORE_UNREACHABLE, "ZooKeeper unreachable", 7, 503, true,
     "The coordinator cannot reach a quorum of the ZooKeeper servers. What serves goes on; changes "
     "wait.\n"
     "next: check the servers named in coordinator.toml, then muster admin status"},
    {RefusalCode::PORT_IN_USE, "port in use", 1, 500, true,
     "Another program already listens on the address. Usual cause: an earlier start of the same "
     "daemon\n"
     "that still runs.\n"
     "next: ss -ltnp shows who holds the port; stop it or configure another port"},
    {RefusalCode::DISK_FULL, "disk full", 1, 507, true,
     "A file could not be written since the disk (or its quota) is full. The old content, where "
     "there\n"
     "was one, is untouched.\n"
     "next: df -h; free some space and repeat the command"},
    {RefusalCode::TIMED_OUT, "timed out", 9, 504, true,
     "The wait ended, the work goes on. Nothing was cancelled.\n"
     "next: muster why REF, or wait longer with --timeout"},
    {RefusalCode::OUTCOME_UNKNOWN, "outcome unknown", 7, 503, true,
     "The connection or the leadership was lost after the request had been sent: it may or may not "
     "have\n"
     "been carried out. Repeating it with the same request id is safe and gives the first answer.\n"
     "next: muster describe REF shows what holds now"},
    {RefusalCode::ALREADY_RUNNING, "already running", 1, 409, false,
     "A process already uses this directory. Two at once would overwrite each other's state.\n"
     "next: muster ps, or stop it with muster down"},
    {RefusalCode::STALE_ORDER, "order of an earlier leadership", 1, 409, false,
     "An order or answer of an older history, epoch or index was refused. This is the fence that "
     "keeps\n"
     "a deposed leader from doing harm; it needs no action.\n"
     "next: muster admin status counts them as fenced attempts"},
    {RefusalCode::SCHEMA_TOO_NEW, "schema level too new", 1, 500, false,
     "The cluster's state or log is written in a form that this muster-coordinator is too old for. "
     "It\n"
     "stopped before it read a thing wrongly. The level rises once all configured coordinators "
     "have\n"
     "reported that they understand it; from then on a downgrade does not work.\n"
     "next: muster admin status shows the level; install the version the other coordinators run"},
};

inline constexpr RefusalInfo INTERNAL[] = {
    {RefusalCode::INTERNAL, "internal error", 12, 500, false,
     "Muster contradicted itself. This is a fault of ours and not of your input. The log of the "
     "process\n"
     "holds the details under the request id shown.\n"
     "next: keep the log and report it with the request id and muster version"},
};

}  // namespace muster::refusal_pages
