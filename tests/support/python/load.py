"""The load client: a program that applies and deletes without pause and keeps a file of the answers."""
import json
import os
import signal
import subprocess

from facts import checkEqual
from local_cluster import TEST_BIN


class LoadClient:
    """Each answer is a dict: operation, name, start_ns, end_ns (CLOCK_MONOTONIC), request_id, epoch, index; or refusal."""

    def __init__(self, cluster, prefix, model):
        self.path = os.path.join(cluster.root, prefix + ".jsonl")
        open(self.path, "w").close()
        argv = [os.path.join(TEST_BIN, "muster-load-client"), os.path.join(cluster.dir, "context.toml"), prefix,
                self.path, model]
        self.process = subprocess.Popen(argv, env=cluster.environment(), stderr=subprocess.PIPE, text=True)

    def answers(self):
        checkEqual(self.process.poll(), None, "the end of the load client")
        return self._read()

    def _read(self):
        with open(self.path) as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def end(self):
        """All answers, after the last call is answered."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=120)
        checkEqual((self.process.returncode, errors), (0, ""), "the end of the load client")
        return self._read()
