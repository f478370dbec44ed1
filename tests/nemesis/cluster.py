"""A cluster of real processes, each on a host of its own: 3 ZooKeeper servers, 3 coordinators, 6 workers, 8 clients."""
import json
import os
import signal
import subprocess

from hosts import Network
from local_cluster import BIN, COMMAND_PATIENCE_S, TEST_BIN, Answer
from sample import deployment, makeSmallModel, sleeper
from waiting import CommandFailed, waitFor

ZOOKEEPERS = ["zk1", "zk2", "zk3"]
COORDINATORS = ["co1", "co2", "co3"]
WORKERS = [f"w{i}" for i in range(1, 7)]
CLIENTS = [f"c{i}" for i in range(1, 9)]
READERS = CLIENTS[:2]  # write nothing
CLIENT_PORT, QUORUM_PORT, ELECTION_PORT, RPC_PORT = 2181, 2888, 3888, 7401
CLUSTER = "nemesis"
REGISTERS = 4
# Less than a store would like to reserve for its write-ahead log, which would hide a full disk for long.
ROOM_BYTES = 56 << 20
DEVICE = '\n[[devices]]\ntype = "cpu"\nmemory = "256MiB"\n'
JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
FILE_FAULT = os.path.join(TEST_BIN, "support/libmuster_tests_file_fault.so")
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def quoted(words):
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


class Daemon:
    """A program on a host that is started again after a fault; what it writes goes to one log."""

    def __init__(self, host, argv, folder, log, environment):
        self.host, self.argv, self.folder, self.log, self.environment = host, argv, folder, log, environment
        self.process = None

    def start(self, library=None, **more):
        """`library`: one more to preload; `more`: of its environment."""
        if self.runs():
            return
        environment = {**self.environment, **more}
        if library:
            environment["LD_PRELOAD"] = " ".join([library, *self.environment.get("LD_PRELOAD", "").split()])
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.host.argv(self.argv), cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=environment, start_new_session=True)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Cluster:
    """`root` is an empty folder with a short name, `coordinator` the program. Everything is up after `start`."""

    def __init__(self, root, coordinator):
        self.root, self.coordinator = root, coordinator
        self.network = Network(ZOOKEEPERS + COORDINATORS + WORKERS + CLIENTS)
        self.models, self.pki = self.path("models"), self.path("pki")
        for folder in ("models", "pki", "logs", "clocks", "histories"):
            os.mkdir(self.path(folder))
        self.daemons = {}
        self.lastLeader = COORDINATORS[0]
        self._writeFiles()

    def path(self, *names):
        return os.path.join(self.root, *names)

    def address(self, id, port=RPC_PORT):
        return f"{self.network[id].address}:{port}"

    # Files.

    def _writeFiles(self):
        names = [f"coordinator/{id}" for id in COORDINATORS] + [f"worker/{id}" for id in WORKERS] + ["admin/admin"]
        # Good from three days ago, so that a clock that is set back finds them good.
        subprocess.run([os.path.join(TEST_BIN, "muster-make-pki"), self.pki, CLUSTER, *names], check=True,
                       env={**os.environ, "LD_PRELOAD": FAKETIME, "FAKETIME": "-3d"})
        self._write("digest", "muster:for-tests-only\n", 0o600)
        for number, id in enumerate(ZOOKEEPERS, 1):
            self._makeZookeeper(id, number)
        for id in COORDINATORS:
            self._makeCoordinator(id)
        for id in WORKERS:
            self._makeWorker(id)
        self._write("context.toml", f'cluster = "{CLUSTER}"\ncoordinators = {self._coordinators()}\n'
                    + self._tls("admin-admin").replace("[tls]\n", ""))

    def _write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def _coordinators(self):
        return quoted(self.address(id) for id in COORDINATORS)

    def _tls(self, name):
        return (f'[tls]\nca = "{self.pki}/ca.crt"\ncertificate = "{self.pki}/{name}.crt"\n'
                f'key = "{self.pki}/{name}.key"\n')

    def _makeZookeeper(self, id, number):
        os.makedirs(self.path(id, "data"))
        members = "".join(f"server.{i}={self.network[one].address}:{QUORUM_PORT}:{ELECTION_PORT}\n"
                          for i, one in enumerate(ZOOKEEPERS, 1))
        self._write(f"{id}/zoo.cfg", f"tickTime=500\ndataDir={self.path(id, 'data')}\nclientPort={CLIENT_PORT}\n"
                    f"clientPortAddress={self.network[id].address}\nadmin.enableServer=false\nmaxClientCnxns=0\n"
                    f"4lw.commands.whitelist=srvr,conf,mntr\ninitLimit=20\nsyncLimit=4\n{members}")
        self._write(f"{id}/data/myid", f"{number}\n")
        argv = ["java", "-Xmx192m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Djava.net.preferIPv4Stack=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", JARS,
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.path(id, "zoo.cfg")]
        self._add(id, argv, os.environ)

    def _makeCoordinator(self, id):
        """Its store has a small disk of its own."""
        os.makedirs(self.path(id, "store"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "none", self.path(id, "store")], check=True)
        servers = quoted(self.address(one, CLIENT_PORT) for one in ZOOKEEPERS)
        peers = "".join(f'\n[[peers]]\nid = "{one}"\naddress = "{self.address(one)}"\n' for one in COORDINATORS)
        self._write(f"{id}/coordinator.toml", f'cluster = "{CLUSTER}"\nid = "{id}"\ndata_dir = "{self.path(id, "store")}"\n'
                    f'\n[zookeeper]\nservers = {servers}\ndigest_file = "{self.path("digest")}"\n'
                    f'\n[rpc]\nlisten = "{self.address(id)}"\n\n{self._tls("coordinator-" + id)}{peers}')
        self._add(id, [self.coordinator, "--config", self.path(id, "coordinator.toml")],
                  self._clockOf(id))

    def _makeWorker(self, id):
        os.makedirs(self.path(id, "data"))
        self._write(f"{id}/worker.toml", f'cluster = "{CLUSTER}"\nnode = "{id}"\ncoordinators = {self._coordinators()}\n'
                    f'data_dir = "{self.path(id, "data")}"\naddress = "{self.network[id].address}"\n'
                    f'model_roots = ["{self.models}"]\n\n{self._tls("worker-" + id)}{DEVICE}{DEVICE}')
        self._add(id, [os.path.join(BIN, "muster-worker"), "--config", self.path(id, "worker.toml")], self._clockOf(id))

    def _add(self, id, argv, environment):
        self.daemons[id] = Daemon(self.network[id], argv, self.path(id), self.path("logs", id + ".log"), environment)

    def _clockOf(self, id):
        """An environment whose wall clock is what `setClock` says; steady clocks stay true."""
        self.setClock(id, "+0s")
        return {**os.environ, "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.path("clocks", id),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}

    def setClock(self, id, shift):
        """`shift` from the true time: "+3600s". Seen within a second."""
        self._write(os.path.join("clocks", id), shift + "\n")

    def keepRoom(self):
        """Long runs write more than a small disk takes."""
        for id in COORDINATORS:
            disk = os.statvfs(self.path(id, "store"))
            if disk.f_bavail * disk.f_frsize < ROOM_BYTES // 2:
                size = (disk.f_blocks - disk.f_bfree) * disk.f_frsize + ROOM_BYTES
                subprocess.run(["mount", "-o", f"remount,size={size}", self.path(id, "store")], check=True)

    # Life.

    def start(self):
        for id in ZOOKEEPERS:
            self.daemons[id].start()
        argv = [*self.daemons["co1"].argv, "--bootstrap"]
        waitFor("the cluster is bootstrapped", lambda: self._bootstrap(argv))
        for id in COORDINATORS + WORKERS:
            self.daemons[id].start()
        model = makeSmallModel(self.models)
        waitFor("the first deployment is taken", lambda: self.run(
            "apply", "-", stdin=deployment("sample", model)).code == 0)
        self.run("apply", "-", stdin=sleeper("sleepers", model, replicas=3))
        self.awaitReady()

    def _bootstrap(self, argv):
        done = subprocess.run(self.network["co1"].argv(argv), capture_output=True, text=True, timeout=COMMAND_PATIENCE_S)
        if done.returncode != 0:
            raise CommandFailed(repr(Answer(argv, done.returncode, done.stdout, done.stderr)))
        return True

    def stop(self, ids):
        for id in ids:
            self.daemons[id].signal(signal.SIGTERM)
        for id in ids:
            self.daemons[id].process.wait(timeout=COMMAND_PATIENCE_S)

    # Commands.

    def cli(self, *words, stdin="", timeout="5s"):
        argv = [os.path.join(BIN, "muster"), *map(str, words), "--timeout", timeout]
        environment = {"PATH": os.environ["PATH"], "HOME": self.root, "NO_COLOR": "1",
                       "MUSTER_CONTEXT": self.path("context.toml")}
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env=environment,
                              timeout=COMMAND_PATIENCE_S)
        return Answer(argv, done.returncode, done.stdout, done.stderr)

    def run(self, *words, **options):
        answer = self.cli(*words, **options)
        if answer.code != 0:
            raise CommandFailed(repr(answer))
        return answer

    def get(self, kind):
        return self.run("get", kind, "-o", "json").json()["items"]

    def status(self):
        return self.run("admin", "status", "-o", "json").json()

    def leader(self):
        """Who leads; who led last while nobody does."""
        try:
            self.lastLeader = self.status()["leader"]["id"]
        except CommandFailed:
            pass
        return self.lastLeader

    def store(self, id):
        """The audit rows of a stopped coordinator."""
        argv = [os.path.join(BIN, "muster-coordinator"), "--print-store", self.path(id, "store")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_PATIENCE_S)
        if done.returncode != 0:
            raise CommandFailed(repr(Answer(argv, done.returncode, done.stdout, done.stderr)))
        return [json.loads(line) for line in done.stdout.splitlines()]

    # Conditions.

    def settled(self):
        """The status once all coordinators answer and stand where they should; nothing before."""
        status = self.status()
        rows = status["coordinators"]
        good = all(row["reachable"] and row["stage"] in ("standby", "serving") for row in rows)
        return status if good and len(rows) == len(COORDINATORS) else None

    def awaitReady(self):
        def ready():
            nodes, deployments = self.get("nodes"), self.get("deployments")
            attached = [one for one in nodes if one["status"]["phase"] == "Ready" and one["status"]["attached"]]
            waiting = [one["name"] for one in deployments
                       if one["spec"]["replicas"] > 0 and one["status"]["phase"] != "Ready"]
            return len(attached) == len(WORKERS) and not waiting

        waitFor("all nodes and deployments are Ready", ready, details=lambda: repr(self.cli("ps")))

    def awaitOneIndex(self):
        def same():
            status = self.settled()
            return status if status and len({row["applied_index"] for row in status["coordinators"]}) == 1 else None

        return waitFor("all coordinators report one applied index", same)
