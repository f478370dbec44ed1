#!/usr/bin/python3
"""deploy/ansible/README.md, typed literally, on machines that boot; and what must hold meanwhile.

Usage: machines_test.py BUILD_FOLDER [STEP...]        root; the last line is JSON with the times

Runs itself again inside tests/machines/machines, where Ansible, clients and checkers stand beside the machines.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "machines"))

from demo_site import MACHINES, OWN_FOLDER, ROOT, Site, changes, waitFor  # noqa: E402

NEXT_VERSION = "0.2.0"
NEEDED = ["systemd-nspawn", "mmdebstrap", "dpkg-scanpackages", "ansible-playbook", "ssh", "zstd", "ip"]
SKIPPED = 77
PIDS = "cat /proc/sys/kernel/random/boot_id; systemctl show -p MainPID muster-worker muster-coordinator muster-gateway"
CONNECTIONS = "ss -Htn state established 'dport = :7401' | awk '{print $3, $4}' | sort"
# /srv has models, which are not ours to remove; logs of what was there may stay.
LEFT = ("sudo find / -xdev -iname '*muster*' -not -path '/proc/*' -not -path '/repo/*' -not -path '/srv/*' "
        "-not -path '/var/log/*' -not -path '/tmp/*'; pgrep -a muster || true; getent passwd | grep muster || true; "
        "systemctl list-units --no-legend --all 'muster*'")


def reasonToSkip():
    if os.geteuid() != 0:
        return "only root can boot machines"
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    if missing:
        return f"missing: {', '.join(missing)}; tools/setup --machines"
    if subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], stderr=subprocess.DEVNULL).returncode:
        return "no namespaces can be made here"
    return None


def outside(build, steps):
    """Builds the packages of two versions and goes into namespaces of its own."""
    reason = reasonToSkip()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)

    def make(*words):
        subprocess.run(["cmake", *words], check=True, stdout=sys.stderr)

    make("--build", build, "--target", "packages", "muster-load-client")
    if not steps or {"Upgrade", "FailedUpgrade"} & set(steps):
        after = os.path.join(os.path.dirname(build), "next")
        make("-S", ROOT, "-B", after, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", f"-DMUSTER_VERSION={NEXT_VERSION}")
        make("--build", after, "--target", "packages")
    base = subprocess.run([os.path.join(ROOT, "tests", "machines", "base"), os.path.join(build, "packages")], check=True,
                          text=True, stdout=subprocess.PIPE).stdout.strip()
    os.environ.update(MUSTER_MACHINES_BASE=base, MUSTER_MACHINES_REPO=os.path.join(base, "packages"),
                      MUSTER_INSIDE=os.path.abspath(build))
    os.execv(MACHINES, [MACHINES, "run", sys.executable, os.path.abspath(__file__), build, *steps])


class Walk(Site):
    """The steps, in order."""

    everyone = (1, 2, 3)

    def everywhere(self, command):
        return [self.on(number, command) for number in self.everyone]

    def stepSite(self):
        shutil.rmtree(OWN_FOLDER, ignore_errors=True)
        self.boot(*self.everyone)
        self.walk("preflight")
        start = time.monotonic()
        self.walk("site")
        print(self.walk("model"))
        self.times["site_s"] = round(time.monotonic() - start, 1)
        assert [one.strip() for one in self.everywhere("systemctl is-system-running")] == ["running"] * 3

    def stepScopes(self):
        """A restart of the worker does not touch its ranks."""
        before = self.ranks()
        node = int(before[0][1][1:])
        scopes = self.on(node, "systemctl list-units --no-legend 'muster-rank-*.scope'")
        assert "muster-rank-" in scopes, f"ranks are in no scope of their own: {scopes}"
        self.on(node, "sudo systemctl restart muster-worker")
        waitFor("the node is Ready", lambda: self.isReady("nodes", f"m{node}"))
        assert self.ranks() == before, f"ranks are others: {before} {self.ranks()}"

    def stepSecond(self):
        told = self.walk("second")
        self.times["changed"] = changes(told)
        assert changes(told) == 0, told[-6000:]

    def stepSmoke(self):
        assert "muster-smoke" in self.walk("smoke")

    def stepDoctor(self):
        told = self.on(1, "sudo muster doctor || test $? = 11")
        print(told)
        assert "0 failed" in told

    def stepWrongVariable(self):
        code, told = self.playbook("playbooks/site.yml", "-e", '{"muster_worker_devices": [{"type": "gpu"}]}')
        assert code != 0 and "memory" in told, told[-3000:]
        assert changes(told) == 0 and "PLAY [Every machine]" not in told, told[-3000:]

    def labelled(self, label):
        """The nodes with a label."""
        return {one["name"] for one in self.items("nodes") if label in one["labels"]}

    def stepCheck(self):
        """--check tells what would change, and changes nothing."""
        before = self.everywhere(PIDS)
        code, told = self.playbook("playbooks/site.yml", "--check", "--diff")
        assert code == 0 and changes(told) == 0, told[-6000:]
        code, told = self.playbook("playbooks/site.yml", "--check", "--diff", "-e", '{"muster_worker_labels": {"just": "asked"}}')
        assert code == 0 and "write /etc/muster/worker.toml" in told, told[-6000:]
        for number in self.everyone:
            assert re.search(rf"^m{number} .* changed=[1-9]", told, re.M), told[-6000:]
        assert all("just" not in one for one in self.everywhere("sudo cat /etc/muster/worker.toml"))
        assert self.everywhere(PIDS) == before

    def stepHalfway(self):
        """A run that was stopped is continued by running it again."""
        change = ["playbooks/site.yml", "-e", '{"muster_worker_labels": {"half": "way"}}']
        self.stopAtTask("muster_worker : Worker", *change)
        # What a stop between writing a file and starting its unit again leaves.
        older = self.on(2, "systemctl show -P MainPID muster-worker; sudo touch /etc/muster/worker.toml")
        code, told = self.playbook(*change)
        assert code == 0, told[-6000:]
        waitFor("all nodes have the label", lambda: self.labelled("half") == {"m1", "m2", "m3"})
        assert self.on(2, "systemctl show -P MainPID muster-worker") != older

    def stepUnreachable(self):
        """A machine that is not reached does not stop the others, and catches up by the next run."""
        self.machine("cut", "m3")
        code, told = self.playbook("playbooks/site.yml")
        self.machine("heal", "m3")
        # Which of the two depends on whether there still was a connection.
        assert code != 0 and re.search(r"^m3 .* (unreachable=1|failed=1) ", told, re.M), told[-6000:]
        for others in ("m1", "m2"):
            assert re.search(rf"^{others} .* changed=1 .* failed=0 ", told, re.M), told[-6000:]
        told = self.walk("second")
        assert re.search(r"^m3 .* changed=1 ", told, re.M) and changes(told) == 1, told[-6000:]
        waitFor("the label is gone", lambda: not self.labelled("half"))

    def stepAdd(self):
        before = self.everywhere(PIDS)
        self.boot(4)
        told = self.walk("add")
        assert not re.search(r"^m[123] ", told, re.M), "adding a worker touched others"
        assert self.isReady("nodes", "m4")
        assert self.everywhere(PIDS) == before
        self.walk("remove")
        assert self.on(4, "dpkg-query -W 'muster*' 2>/dev/null || true") == ""
        self.machine("destroy", "m4")

    def stepPower(self):
        """The machine of the leader dies as a whole and comes back."""
        leader = self.status()["leader"]["id"]
        self.startLoad()
        self.machine("kill", leader)
        waitFor("another leads", lambda: self.status()["leader"]["id"] not in ("", leader))
        self.machine("start", leader)
        self.machine("ready", leader)
        waitFor("the machine is a standby again", lambda: any(
            one["id"] == leader and one["reachable"] and one["stage"] == "standby"
            for one in self.status()["coordinators"]))
        waitFor("its node is Ready", lambda: self.isReady("nodes", leader))
        self.times["power_calls"] = self.stopLoad()
        waitFor("sample is Ready", lambda: self.isReady("deployments", "sample"))

    def stepFailedUpgrade(self):
        """A coordinator that does not come back stops the upgrade at its machine, which says why and how to go on or back."""
        leader = self.status()["leader"]["id"]
        standbys = [number for number in self.everyone if f"m{number}" != leader]
        folder = "/etc/systemd/system/muster-coordinator.service.d"
        for number in standbys:
            self.on(number, f"sudo mkdir {folder}; printf '[Service]\\nExecStartPre=/bin/false\\n' | "
                            f"sudo tee {folder}/broken.conf; sudo systemctl daemon-reload")
        code, told = self.playbook("playbooks/upgrade.yml", "-e", f"muster_common_packages={self.nextPackages()}")
        versions = self.everywhere("muster-coordinator --version; muster-worker --version")
        for number in standbys:
            self.on(number, f"sudo rm -r {folder}; sudo systemctl daemon-reload; sudo systemctl restart muster-coordinator")
        touched = [f"m{number}" for number, version in zip(self.everyone, versions) if NEXT_VERSION in version]
        assert code != 0 and len(touched) == 1, f"{versions}\n{told[-6000:]}"
        for words in (f"{touched[0]} is not well with muster-coordinator", "To go on:", "To go back:", "ExecStartPre=/bin/false"):
            assert words in told, f"no {words!r} in {told[-6000:]}"
        waitFor("all coordinators keep up again", lambda: all(one["reachable"] for one in self.status()["coordinators"]))

    def stepUpgrade(self):
        before = self.ranks()
        self.startLoad()
        self.walk("upgrade")
        self.times["upgrade_calls"] = self.stopLoad()
        assert self.ranks() == before, f"ranks are others: {before} {self.ranks()}"
        for program in ("coordinator", "worker"):
            for running in self.everywhere(f"sudo readlink /proc/$(systemctl show -P MainPID muster-{program})/exe"):
                assert "deleted" not in running, running
            for version in self.everywhere(f"muster-{program} --version"):
                assert NEXT_VERSION in version, version

    def stepCerts(self):
        """Every daemon shows a new certificate as the process it is, over the connections that it has."""
        pids, sockets = self.everywhere(PIDS), self.everywhere(CONNECTIONS)
        serial = "openssl x509 -noout -serial -in /etc/muster/pki/coordinator.crt"
        before = self.everywhere(serial)
        self.startLoad()
        self.walk("certs")
        self.times["certs_calls"] = self.stopLoad()
        after = self.everywhere(serial)
        assert not set(before) & set(after)
        for number in self.everyone:
            shown = self.on(number, f"openssl s_client -connect 10.77.0.1{number}:7401 </dev/null 2>/dev/null | "
                                    "openssl x509 -noout -serial")
            assert shown == after[number - 1], "the port shows another certificate"
        for old, now in zip(sockets, self.everywhere(CONNECTIONS)):
            assert set(old.split("\n")) <= set(now.split("\n")), f"connections were dropped: {old}{now}"
        assert self.everywhere(PIDS) == pids

    def stepRestore(self):
        """On empty machines, from the archive alone."""
        archive = re.search(r"(/\S+\.tar\.gz)\n", self.walk("backup")).group(1)
        verified = self.muster("admin", "backup", "--verify", os.path.join(OWN_FOLDER, "cluster.backup"))
        kept = os.path.join("/run", os.path.basename(archive))
        shutil.copy(archive, kept)
        shutil.copy(archive + ".sha256", kept + ".sha256")
        shutil.rmtree(OWN_FOLDER)
        for number in self.everyone:
            self.machine("destroy", f"m{number}")
        self.boot(*self.everyone)
        told = self.walk("restore", ARCHIVE=kept)
        wanted = re.search(r"state hash ([0-9a-f]{32})", verified).group(1)
        assert f"state hash {wanted}" in told, f"{verified}\n{told[-2000:]}"

    def stepShell(self):
        """Only by name: a shell beside the machines, where this program runs other steps on them, again and again."""
        subprocess.run([os.environ.get("SHELL", "bash")], env=self.environment, check=False)

    def stepUninstall(self):
        self.walk("uninstall")
        for left in self.everywhere(LEFT):
            assert left == "", left


STEPS = ["Site", "Scopes", "Second", "Smoke", "Doctor", "WrongVariable", "Check", "Halfway", "Unreachable", "Add", "Power",
         "FailedUpgrade", "Upgrade", "Certs", "Restore", "Uninstall"]


def inside(build, steps):
    walk = Walk(build)
    for step in steps or STEPS:
        start = time.monotonic()
        try:
            getattr(walk, "step" + step)()
        except Exception as error:  # whatever failed is told with what the machines say
            print(f"{step}: FAILED: {error!r}\n{error}", flush=True)
            walk.report(Walk.everyone)
            sys.exit(1)
        print(f"{step}: ok, {time.monotonic() - start:.1f} s", flush=True)
    print(json.dumps({"name": "site", **walk.times}))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    (inside if os.environ.get("MUSTER_INSIDE") else outside)(os.path.abspath(sys.argv[1]), sys.argv[2:])
