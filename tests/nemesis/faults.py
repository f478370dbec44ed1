"""The kinds of fault. Each is a function (cluster, chance) that does it, and gives what it did and how to undo it."""
import os
import signal
import subprocess
import sys

from cluster import CLIENTS, COORDINATORS, FILE_FAULT, READERS, WORKERS, ZOOKEEPERS

CONTROL = ZOOKEEPERS + COORDINATORS
HERE = os.path.dirname(os.path.abspath(__file__))


class Fault:
    """`text`: on whom. `undo` ends it. `ended`: daemons that may have ended because of it, beside those it killed."""

    def __init__(self, text, undo=lambda: None, ended=()):
        self.text, self.undo, self.ended = text, undo, set(ended)


class Kind:
    """`hold`: seconds, shortest and longest. `moves`: ranks may be replaced; after all others they are the same processes.
    `pairs`: may come together with another one."""

    def __init__(self, run, hold, moves=False, pairs=True):
        self.run, self.hold, self.moves, self.pairs, self.name = run, hold, moves, pairs, run.__name__


def others(names, *but):
    return [name for name in names if name not in but]


def killAndStart(cluster, ids):
    for id in ids:
        cluster.daemons[id].kill()

    def undo():
        for id in ids:
            cluster.daemons[id].start()

    return Fault(" ".join(ids), undo, ids)


def freeze(cluster, id):
    cluster.daemons[id].signal(signal.SIGSTOP)
    return Fault(id, lambda: cluster.daemons[id].signal(signal.SIGCONT))


def drop(network, names):
    return [f"ip saddr {{ {network.addresses(names)} }} drop"]


def withRules(cluster, text, incoming, outgoing=None):
    """`incoming`, `outgoing`: rules by host."""
    outgoing, key = outgoing or {}, object()
    for name in {**incoming, **outgoing}:
        cluster.network[name].setRules(key, incoming.get(name, ()), outgoing.get(name, ()))

    def undo():
        for name in {**incoming, **outgoing}:
            cluster.network[name].setRules(key)

    return Fault(text, undo)


def cut(cluster, some, rest):
    """Nothing passes between the two sides."""
    rules = {name: drop(cluster.network, rest) for name in some} | {name: drop(cluster.network, some) for name in rest}
    return withRules(cluster, f"{' '.join(some)} | {' '.join(rest)}", rules)


# Coordinators.

def kill_leader(cluster, chance):
    return killAndStart(cluster, [cluster.leader()])


def kill_standby(cluster, chance):
    return killAndStart(cluster, [chance.choice(others(COORDINATORS, cluster.leader()))])


def kill_two_coordinators(cluster, chance):
    leader = cluster.leader()
    return killAndStart(cluster, [leader, chance.choice(others(COORDINATORS, leader))])


def kill_all_coordinators(cluster, chance):
    return killAndStart(cluster, COORDINATORS)


def freeze_leader(cluster, chance):
    return freeze(cluster, cluster.leader())


def freeze_standby(cluster, chance):
    return freeze(cluster, chance.choice(others(COORDINATORS, cluster.leader())))


def cut_leader(cluster, chance):
    leader = cluster.leader()
    return cut(cluster, [leader], others(cluster.network.hosts, leader))


def cut_leader_with_readers(cluster, chance):
    """Some clients stay with a leader that nobody else reaches, and only read: what it knows may be old by now."""
    side = [cluster.leader(), *READERS]
    return cut(cluster, side, others(cluster.network.hosts, *side))


def cut_leader_from_zookeeper(cluster, chance):
    return cut(cluster, [cluster.leader()], ZOOKEEPERS)


def cut_leader_from_standbys(cluster, chance):
    leader = cluster.leader()
    return cut(cluster, [leader], others(COORDINATORS, leader))


def leader_is_not_heard(cluster, chance):
    """One way: it hears everybody, nobody of the control plane hears it."""
    leader = cluster.leader()
    rules = {name: drop(cluster.network, [leader]) for name in others(CONTROL, leader)}
    return withRules(cluster, f"{leader} -> *", rules)


def leader_hears_nobody(cluster, chance):
    leader = cluster.leader()
    return withRules(cluster, f"* -> {leader}", {leader: drop(cluster.network, others(CONTROL, leader))})


def full_disk(cluster, chance):
    """A coordinator may end for it, and then ends again until there is room."""
    id = chance.choice([cluster.leader(), chance.choice(COORDINATORS)])
    filler = cluster.path(id, "store", "filler")
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass

    def undo():
        os.remove(filler)
        cluster.daemons[id].start()

    return Fault(id, undo, [id])


def withFailingFiles(cluster, id, folder, fault):
    """Starts it again with files of which one call will fail. It may end for it, and is started as usual afterwards."""
    report = cluster.path("logs", f"{id}.file-fault")
    if os.path.exists(report):
        os.remove(report)
    daemon = cluster.daemons[id]
    daemon.kill()
    daemon.start(FILE_FAULT, MUSTER_FAULT=fault, MUSTER_FAULT_FOLDER=cluster.path(id, folder), MUSTER_FAULT_REPORT=report)
    result = Fault(f"{id} {fault}", ended=[id])

    def undo():
        daemon.kill()
        daemon.start()
        with open(report) if os.path.exists(report) else open(os.devnull) as file:
            result.text += f" ({os.path.basename(file.readline().strip()) or 'did not strike'})"

    result.undo = undo
    return result


def write_error(cluster, chance):
    """EIO from a write of a coordinator's store."""
    return withFailingFiles(cluster, chance.choice(COORDINATORS), "store", f"write_eio {chance.randint(10, 120)}")


def fsync_error(cluster, chance):
    """EIO when a ZooKeeper server flushes its log."""
    return withFailingFiles(cluster, chance.choice(ZOOKEEPERS), "data", f"sync_eio {chance.randint(2, 60)}")


def worker_fsync_error(cluster, chance):
    """EIO when a worker flushes the order that it was given."""
    return withFailingFiles(cluster, chance.choice(WORKERS), "data", "sync_eio 1")


def clock_step(cluster, chance):
    id, shift = chance.choice(COORDINATORS + WORKERS), chance.choice(["+5s", "-5s", "+3600s", "-3600s", "+1d", "-1d"])
    cluster.setClock(id, shift)
    return Fault(f"{id} {shift}", lambda: cluster.setClock(id, "+0s"))


# ZooKeeper and the network between.

def kill_zookeeper(cluster, chance):
    return killAndStart(cluster, [chance.choice(ZOOKEEPERS)])


def kill_zookeeper_quorum(cluster, chance):
    return killAndStart(cluster, chance.sample(ZOOKEEPERS, 2))


def freeze_zookeeper(cluster, chance):
    return freeze(cluster, chance.choice(ZOOKEEPERS))


def cut_zookeeper(cluster, chance):
    """From the other servers; coordinators still reach it."""
    one = chance.choice(ZOOKEEPERS)
    return cut(cluster, [one], others(ZOOKEEPERS, one))


def halves(cluster, chance):
    names = chance.sample(CONTROL, len(CONTROL))
    size = chance.randint(2, 4)
    return cut(cluster, names[:size], names[size:])


def ring(cluster, chance):
    """Each of the control plane hears its two neighbours alone."""
    names = chance.sample(CONTROL, len(CONTROL))
    rules = {}
    for i, name in enumerate(names):
        near = {name, names[i - 1], names[(i + 1) % len(names)]}
        rules[name] = drop(cluster.network, others(names, *near))
    return withRules(cluster, " ".join(names), rules)


def reset(cluster, chance):
    """Every connection of a host that carries anything meanwhile is reset, on both ends."""
    name = chance.choice([cluster.leader(), chance.choice(CONTROL)])
    rule = "tcp flags & rst == 0 reject with tcp reset"
    return withRules(cluster, name, {name: [f'iifname "eth0" {rule}']}, {name: [f'oifname "eth0" {rule}']})


def loss(cluster, chance):
    name, percent = chance.choice([cluster.leader(), chance.choice(CONTROL)]), chance.choice([5, 20, 50])
    rule = [f"numgen random mod 100 < {percent} drop"]
    return withRules(cluster, f"{name} {percent} %", {name: ['iifname "eth0" ' + rule[0]]},
                     {name: ['oifname "eth0" ' + rule[0]]})


def delay(cluster, chance):
    """Of what leaves a host; connections go on."""
    name, delayMs = chance.choice([cluster.leader(), chance.choice(CONTROL)]), chance.choice([20, 100, 400])
    argv = [sys.executable, "-B", os.path.join(HERE, "slow_link.py"), delayMs, delayMs // 4, chance.randint(0, 1 << 30)]
    relay = subprocess.Popen(cluster.network[name].argv(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if relay.stdout.readline() != b"ready\n":
        raise RuntimeError(f"slow_link.py does not start on {name}")

    def undo():
        relay.communicate(timeout=30)  # closes its stdin

    return Fault(f"{name} {delayMs} ms", undo)


# Workers and clients.

def restart_agent(cluster, chance):
    """Back within the grace: its ranks are adopted."""
    return killAndStart(cluster, [chance.choice(WORKERS)])


def freeze_agent(cluster, chance):
    return freeze(cluster, chance.choice(WORKERS))


def cut_worker_from_leader(cluster, chance):
    return cut(cluster, [chance.choice(WORKERS)], [cluster.leader()])


def kill_worker(cluster, chance):
    """The agent and its ranks, for longer than the grace."""
    id = chance.choice(WORKERS)
    ranks = [one["pid"] for one in cluster.get("ranks") if one["node"] == id and one["pid"]]
    fault = killAndStart(cluster, [id])
    for pid in ranks:
        os.kill(pid, signal.SIGKILL)
    return fault


def kill_rank(cluster, chance):
    rank = chance.choice([one for one in cluster.get("ranks") if one["phase"] == "Ready"])
    os.kill(rank["pid"], signal.SIGKILL)
    return Fault(f"{rank['deployment']}/{rank['replica']}/{rank['rank']}")


def cut_clients(cluster, chance):
    return cut(cluster, chance.sample(CLIENTS, 3), COORDINATORS)


SHORT, LONG = (0.3, 1.0), (1.0, 3.0)
KINDS = [
    # Coordinators.
    Kind(kill_leader, SHORT), Kind(kill_leader, LONG), Kind(kill_standby, SHORT), Kind(kill_two_coordinators, LONG),
    Kind(kill_all_coordinators, SHORT), Kind(freeze_leader, LONG), Kind(freeze_standby, LONG), Kind(cut_leader, LONG),
    Kind(cut_leader_with_readers, LONG), Kind(cut_leader_from_zookeeper, LONG), Kind(cut_leader_from_standbys, LONG),
    Kind(leader_is_not_heard, LONG), Kind(leader_hears_nobody, LONG), Kind(full_disk, LONG), Kind(write_error, LONG),
    # ZooKeeper, and the network between.
    Kind(kill_zookeeper, SHORT), Kind(kill_zookeeper_quorum, SHORT), Kind(freeze_zookeeper, LONG), Kind(cut_zookeeper, LONG),
    Kind(fsync_error, LONG), Kind(halves, LONG), Kind(ring, LONG), Kind(reset, (0.1, 0.3)), Kind(loss, LONG),
    Kind(delay, LONG), Kind(clock_step, LONG),
    # Workers and clients.
    Kind(restart_agent, SHORT, pairs=False), Kind(freeze_agent, LONG, pairs=False),
    Kind(cut_worker_from_leader, LONG, pairs=False), Kind(worker_fsync_error, SHORT, pairs=False),
    Kind(kill_worker, (3.0, 4.0), moves=True, pairs=False), Kind(kill_rank, SHORT, moves=True, pairs=False),
    Kind(cut_clients, LONG),
]
