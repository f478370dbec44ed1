"""A worker whose driver, a library of ours, shows GPUs that are not there."""
import os
import re
import signal
import subprocess

from local_cluster import TEST_BIN
from processes import startTime
from waiting import waitFor


class StandInGpus:
    """`with StandInGpus(cluster, "w1", rows) as gpus:` runs the worker in place of the supervisor's, without the devices
    that its file declares. A row says how one GPU is (tests/support/stand_in_nvml.cpp); `gpus.change(2, state="lost")`."""

    def __init__(self, cluster, id, rows):
        self.cluster, self.id, self.rows = cluster, id, [dict(row) for row in rows]
        self.path = os.path.join(cluster.root, "gpus")
        self.process = None

    def __enter__(self):
        pid = self.cluster.kill(self.id, signal.SIGTERM)
        waitFor(f"{self.id} has ended", lambda: startTime(pid) is None)
        self.write()
        self.start()
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def write(self):
        lines = ["driver=550.54.15"]
        for row in self.rows:
            lines.append(" ".join(f"{key}={str(value).replace(' ', '_')}" for key, value in row.items()))
        with open(self.path + ".new", "w") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(self.path + ".new", self.path)

    def change(self, index, **words):
        self.rows[index].update(words)
        self.write()

    def environment(self):
        return {**self.cluster.environment(), "MUSTER_STAND_IN_GPUS": self.path,
                "LD_LIBRARY_PATH": os.path.join(os.path.abspath(TEST_BIN), "stand_in")}

    def config(self):
        with open(os.path.join(self.cluster.dir, self.id, "worker.toml")) as file:
            text = re.sub(r"\[\[devices\]\][^\[]*", "", file.read())
        path = os.path.join(self.cluster.root, "gpu-worker.toml")
        with open(path, "w") as file:
            file.write(text)
        return path

    def start(self):
        with open(os.path.join(self.cluster.dir, "logs", self.id + ".log"), "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.cluster.bin, "muster-worker"), "--config", self.config()],
                                            stderr=log, env=self.environment(), cwd=self.cluster.root)

    def items(self):
        """What the cluster says of this node's GPUs, by index."""
        return [one for one in self.cluster.get("gpus") if one["node"] == self.id]


def h100s(count):
    others = [",".join(str(other) for other in range(count) if other != index) for index in range(count)]
    return [{"name": "NVIDIA H100 80GB HBM3", "uuid": f"GPU-{index}", "memory": 80 << 30, "reserved": 512 << 20,
             "bus": 27 + index, "links": others[index]} for index in range(count)]
