"""Machines, the walk of deploy/ansible/README.md, and a load: what the tests of the playbooks stand on.

Lives inside tests/machines/machines, where Ansible, clients and checkers stand beside the machines.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support", "python"))

from waiting import CommandFailed, waitFor  # noqa: E402

MACHINES = os.path.join(HERE, "machines")
PLAYS = os.path.join(ROOT, "deploy", "ansible")
OWN_FOLDER = os.path.join(ROOT, "build", "demo")  # of the example's cluster: authorities, certificates, backups
WALK_S_MAX = 900
LOAD_PAUSE_MS = 20  # so many calls as people and their tools make; Ansible needs the processors as well
BLOCK = re.compile(r"<!-- walk: (\w+) -->\n```sh\n(.*?)```", re.S)


def run(*command, seconds=120, **options):
    """What a command prints; raises CommandFailed when it fails."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, timeout=seconds, **options)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)[:200]}: exit {done.returncode}\n{done.stdout[-6000:]}")
    return done.stdout


def changes(told):
    """How many changes a run of Ansible has counted."""
    return sum(map(int, re.findall(r"changed=(\d+)", told)))


class Site:
    """The machines m1, m2, ... at 10.77.0.11, ..., and the commands that are typed beside them."""

    def __init__(self, build):
        self.build, self.times, self.writes = build, {}, "/run/writes.jsonl"
        self.base = os.environ["MUSTER_MACHINES_BASE"]
        os.makedirs("/run/home", exist_ok=True)
        self.environment = dict(
            os.environ, HOME="/run/home", ANSIBLE_PRIVATE_KEY_FILE=self.base + "/key", ANSIBLE_HOST_KEY_CHECKING="False",
            ANSIBLE_LOCAL_TEMP="/run/ansible", ANSIBLE_SSH_CONTROL_PATH_DIR="/run/cp", ANSIBLE_NOCOLOR="1",
            MUSTER_CONTEXT=os.path.join(OWN_FOLDER, "context.toml"), PATH=f"{build}/bin:{os.environ['PATH']}")
        with open(os.path.join(PLAYS, "README.md")) as file:
            self.blocks = dict(BLOCK.findall(file.read()))

    # --- machines

    def machine(self, *words):
        # What it leaves in the background must not hold on to a pipe of ours.
        subprocess.run([MACHINES, *words], check=True, timeout=120)

    def boot(self, *numbers):
        for number in numbers:
            self.machine("create", f"m{number}", f"10.77.0.1{number}")
            self.machine("start", f"m{number}")
        for number in numbers:
            self.machine("ready", f"m{number}")

    def on(self, number, command):
        """What a command prints there."""
        return run("ssh", "-i", self.base + "/key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                   "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", f"deploy@10.77.0.1{number}", command)

    # --- the walk

    def playbook(self, *words):
        """Exit code and what it printed."""
        done = subprocess.run(["ansible-playbook", *words], cwd=PLAYS, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=WALK_S_MAX)
        return done.returncode, done.stdout

    def nextPackages(self):
        """The folder of another version's packages, which the README's upgrade installs."""
        return os.path.join(os.path.dirname(self.build), "next", "packages")

    def stopAtTask(self, name, *words):
        """Starts a playbook and kills it, with all it runs here, when it begins that task."""
        play = subprocess.Popen(["ansible-playbook", *words], cwd=PLAYS, env=self.environment, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        told = []
        for line in play.stdout:
            told.append(line)
            if line.startswith("TASK [") and name in line:
                os.killpg(play.pid, signal.SIGKILL)
                play.wait(60)
                return
        raise CommandFailed(f"ended without the task {name}: exit {play.wait(60)}\n{''.join(told[-60:])}")

    def walk(self, block, **variables):
        """Types one block of the README; gives what it printed."""
        start = time.monotonic()
        told = run("bash", "-euo", "pipefail", "-c", self.blocks[block], cwd=PLAYS, seconds=WALK_S_MAX,
                   env={**self.environment, **variables})
        self.times[block + "_s"] = round(time.monotonic() - start, 1)
        return told

    def muster(self, *words):
        return run("muster", *words, env=self.environment)

    def items(self, *words):
        return json.loads(self.muster("get", *words, "-o", "json"))["items"]

    def status(self):
        return json.loads(self.muster("admin", "status", "-o", "json"))

    def ranks(self):
        """(number, node, pid, start time) of each rank of `sample`."""
        return sorted((one["rank"], one["node"], one["pid"], one["start_time"]) for one in self.items("ranks", "sample"))

    def isReady(self, kind, name):
        return all(one["status"]["phase"] == "Ready" for one in self.items(kind, name))

    # --- load

    def startLoad(self):
        self.load = subprocess.Popen([f"{self.build}/tests/muster-load-client", self.environment["MUSTER_CONTEXT"],
                                      f"load-{time.monotonic_ns()}", self.writes, "/srv/models/sample",
                                      str(LOAD_PAUSE_MS)], env=self.environment)
        waitFor("the load is answered", lambda: os.path.getsize(self.writes) > 0)

    def stopLoad(self):
        """Ends the load; gives how many calls it made, all of which must have been answered."""
        self.load.terminate()
        assert self.load.wait(150) == 0, f"the load ended with {self.load.returncode}"
        with open(self.writes) as file:
            calls = [json.loads(line) for line in file]
        os.remove(self.writes)
        failed = [call for call in calls if "refusal" in call]
        assert calls and not failed, f"{len(failed)} of {len(calls)} calls failed: {failed[:3]}"
        return len(calls)

    # --- what went wrong

    def report(self, numbers):
        for number in numbers:
            try:
                print(self.on(number, "systemctl --failed --no-pager; systemctl status --no-pager 'muster*' | grep -E "
                                      "'●|Active|Status'; sudo journalctl --no-pager -n 60 -u 'muster*'"))
            except Exception as silent:  # a machine that is down says nothing
                print(f"m{number}: {silent}")
