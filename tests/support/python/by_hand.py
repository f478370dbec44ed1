"""Coordinators started by a test in place of the supervisor's, which must not restart them (--restart zookeeper)."""
import os
import signal
import subprocess

from facts import check, checkEqual
from processes import startTime
from waiting import waitFor


def rowOf(status, id):
    return next(one for one in status["coordinators"] if one["id"] == id)


class ByHand:
    """`with ByHand(cluster, flags) as coordinators:`; what was started ends with it."""

    def __init__(self, cluster, *flags):
        self.cluster, self.flags, self.processes = cluster, flags, {}
        self.program = os.path.join(cluster.bin, "muster-coordinator")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for id in list(self.processes):
            self.stop(id)

    def argv(self, program, id, *flags):
        return [program, "--config", os.path.join(self.cluster.dir, id, "coordinator.toml"), *self.flags, *flags]

    def stop(self, id):
        process = self.processes.pop(id, None)
        if process is not None:
            process.send_signal(signal.SIGTERM)
            checkEqual(process.wait(timeout=60), 0, f"exit code of {id}")
            return
        pid = self.cluster.kill(id, signal.SIGTERM)
        waitFor(f"{id} has ended", lambda: startTime(pid) is None)

    def start(self, id, *flags, program=None):
        """Comes back when it takes part."""
        with open(os.path.join(self.cluster.dir, "logs", id + ".log"), "ab") as log:
            self.processes[id] = subprocess.Popen(self.argv(program or self.program, id, *flags), stderr=log,
                                                  env=self.cluster.environment())

        def takesPart():
            row = rowOf(self.cluster.status(), id)
            return row["reachable"] and row["stage"] in ("standby", "serving")

        self.cluster.waitFor(f"{id} takes part", takesPart)

    def replace(self, id, *flags, program=None):
        self.stop(id)
        self.start(id, *flags, program=program)

    def refusal(self, id, *flags, program=None):
        """What a coordinator says that ends by itself; it must not have been a success."""
        argv = self.argv(program or self.program, id, *flags)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=self.cluster.environment())
        check(done.returncode != 0, f"ended with exit code 0: {argv}")
        return done.stderr


def handTo(cluster, id):
    # One that has just started may not stand in line yet; and when the old leader's answer is lost, the command is told
    # by the new one that it cannot be its own successor.
    cluster.waitFor(f"{id} is handed the leadership", lambda: cluster.leader() == id or cluster.cli(
        "admin", "step-down", "--to", id, "--yes").code == 0)
    cluster.waitFor(f"{id} leads", lambda: cluster.leader() == id)
