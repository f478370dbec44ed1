"""A whole cluster of real processes in a directory of its own, as `muster up` makes it."""
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from processes import commandLine, killAll, processesOf, startTime
from waiting import CommandFailed, waitFor

BIN = os.environ.get("MUSTER_BINARY_DIR", os.path.join(os.path.dirname(__file__), "../../../build/release/bin"))
TEST_BIN = os.environ.get("MUSTER_TEST_BINARY_DIR", os.path.join(BIN, "../tests"))
COMMAND_PATIENCE_S = 120


class Answer:
    """What a command of ours came to."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code} of: {' '.join(self.argv)}\nstdout: {self.out}\nstderr: {self.err}"


@contextlib.contextmanager
def documentedPortsLeftAlone():
    """Clusters that are started meanwhile draw other ports than the documented ones: a cluster that goes down and comes
    back wants its own again, and a neighbour would have taken them. Nothing is done when somebody's cluster has them."""
    path = os.path.join(tempfile.gettempdir(), "muster-first-port.lock")
    with open(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)) as file:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield


class LocalCluster:
    """`with LocalCluster(...) as cluster:` brings one up; at the end it is down and nothing of it is left running."""

    def __init__(self, workers=4, devices=2, deviceMemory="256MiB", deviceType="cpu", models=None, bin=BIN, flags=()):
        # Short: paths of unix sockets lie below it.
        self.root = tempfile.mkdtemp(prefix="muster-it-", dir=os.environ.get("MUSTER_TEST_DIR"))
        self.dir = os.path.join(self.root, "D")
        self.models = models or os.path.join(self.root, "models")
        os.makedirs(self.models, exist_ok=True)
        self.bin = os.path.abspath(bin)
        self.flags = ["--workers", str(workers), "--devices", str(devices), "--device-memory", deviceMemory,
                      "--device-type", deviceType,
                      *map(str, flags)]

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            try:
                self.keepLogs()
            finally:
                self.leaveNothing()
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self.down()
            else:
                self.keepLogs()
        finally:
            left = self.leaveNothing()
        if kind is None and left:
            raise AssertionError("left running after muster down:\n" + "\n".join(left))

    def up(self, *flags):
        wanted = self.flags if not os.path.exists(os.path.join(self.dir, "local.json")) else []
        with documentedPortsLeftAlone():
            return self.run("up", "--detach", "--dir", self.dir, *wanted, "--models", self.models, *flags)

    def down(self, *flags):
        return self.run("down", "--dir", self.dir, *flags)

    def leaveNothing(self):
        """Kills what is still there, removes the directory, and tells what it had to kill."""
        left = [f"{pid} {commandLine(pid)}" for pid in processesOf(self.root)]
        while pids := processesOf(self.root):  # a supervisor may be starting children
            killAll(pids)
        shutil.rmtree(self.root, ignore_errors=True)
        return left

    def keepLogs(self):
        """Prints the end of every log, for who reads a failed run."""
        folder = os.path.join(self.dir, "logs")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as file:
                lines = file.readlines()[-40:]
            print(f"--- {name}\n{''.join(lines)}", flush=True)

    # Commands.

    def environment(self, user="home"):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "XDG_"))}
        return {**kept, "HOME": os.path.join(self.root, user), "NO_COLOR": "1",
                "MUSTER_CONTEXT": os.path.join(self.dir, "context.toml")}

    def cli(self, *words, stdin="", context=None, user="home", patience=COMMAND_PATIENCE_S):
        """Runs muster and gives its Answer, whatever the exit code. Each user remembers what he has seen."""
        argv = [os.path.join(self.bin, "muster"), *map(str, words)]
        environment = self.environment(user)
        if context is not None:
            environment["MUSTER_CONTEXT"] = context
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env=environment, timeout=patience,
                              cwd=self.root)
        return Answer(argv, done.returncode, done.stdout, done.stderr)

    def run(self, *words, **options):
        """As cli(), for commands that must succeed."""
        answer = self.cli(*words, **options)
        if answer.code != 0:
            raise CommandFailed(repr(answer))
        return answer

    def apply(self, document, *flags):
        return self.run("apply", *flags, "-", stdin=document)

    def get(self, kind, *reference):
        return self.run("get", kind, *reference, "-o", "json").json()["items"]

    def ranks(self, reference=None):
        """In order of replica and rank."""
        rows = self.get("ranks", *([reference] if reference else []))
        return sorted(rows, key=lambda rank: (rank["deployment"], rank["replica"], rank["rank"]))

    def deployment(self, name):
        return next(one for one in self.get("deployments") if one["name"] == name)

    def status(self):
        return self.run("admin", "status", "-o", "json").json()

    # Conditions.

    def waitFor(self, what, condition, **options):
        return waitFor(what, condition, details=lambda: repr(self.cli("ps")), **options)

    def awaitPhase(self, name, phase, **options):
        def there():
            found = self.deployment(name)["status"]
            return found if found["phase"] == phase else None

        return self.waitFor(f"deployment {name} is {phase}", there, **options)

    def awaitGone(self, name):
        self.waitFor(f"deployment {name} and its ranks are gone",
                     lambda: not any(one["name"] == name for one in self.get("deployments"))
                     and not any(one["deployment"] == name for one in self.ranks()))

    def awaitOneIndex(self):
        """Waits until all coordinators answer, stand where they should and have applied the same; gives the status."""

        def same():
            status = self.status()
            rows = status["coordinators"]
            settled = all(row["reachable"] and row["stage"] in ("standby", "serving") for row in rows)
            return status if settled and len({row["applied_index"] for row in rows}) == 1 else None

        return self.waitFor("all coordinators report one applied index", same)

    # Processes.

    def file(self):
        with open(os.path.join(self.dir, "cluster.json")) as file:
            return json.load(file)

    def process(self, id):
        return next(one for one in self.file()["processes"] if one["id"] == id)

    def pid(self, id):
        return self.process(id)["pid"]

    def pids(self, role):
        return {one["id"]: one["pid"] for one in self.file()["processes"] if one["role"] == role}

    def leader(self):
        return self.status()["leader"]["id"]

    def kill(self, id, number=signal.SIGKILL):
        """Signals one process of cluster.json; gives its pid."""
        pid = self.pid(id)
        os.kill(pid, number)
        return pid

    def awaitRestart(self, id, oldPid):
        def again():
            one = self.process(id)
            return one["pid"] if one["pid"] != oldPid and startTime(one["pid"]) is not None else None

        return self.waitFor(f"{id} was started again", again)

    def store(self, id):
        """The audit rows of a stopped coordinator."""
        argv = [os.path.join(self.bin, "muster-coordinator"), "--print-store", os.path.join(self.dir, id)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_PATIENCE_S)
        if done.returncode != 0:
            raise CommandFailed(repr(Answer(argv, done.returncode, done.stdout, done.stderr)))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def logOf(self, id):
        with open(os.path.join(self.dir, "logs", id + ".log"), errors="replace") as file:
            return file.read()

    def contextAs(self, role, name):
        """A context file of this cluster with another certificate of its own authority; gives its path."""
        path = os.path.join(self.dir, f"{role}-{name}.toml")
        with open(os.path.join(self.dir, "context.toml")) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(re.sub("admin-admin", f"{role}-{name}", text))
        return path


def rankPids(ranks):
    """What must not change while the control plane does: {(deployment, replica, rank): (pid, start time)}."""
    return {(rank["deployment"], rank["replica"], rank["rank"]): (rank["pid"], rank["start_time"]) for rank in ranks}
