"""Hosts on one machine: each is a network namespace on a bridge, with rules of its own for what comes in and goes out.

All of it lives in the namespaces of this program (see `enter`), and is gone with it.
"""
import ipaddress
import os
import subprocess
import sys

INSIDE = "MUSTER_NEMESIS_INSIDE"
NETWORK = ipaddress.ip_network("10.77.0.0/24")
ENTRY = NETWORK[1]  # of this program itself


def enter():
    """Starts this program again, with mounts, network and processes of its own: whatever becomes of it, nothing is left."""
    if os.environ.get(INSIDE):
        return
    os.environ[INSIDE] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, "-B", *sys.argv])


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


class Host:
    """`name` is its namespace's, too."""

    def __init__(self, name, address):
        self.name, self.address = name, str(address)
        self.incoming, self.outgoing = {}, {}  # rules by the fault that made them

    def connect(self):
        ip("netns", "add", self.name)
        ip("link", "add", "v-" + self.name, "type", "veth", "peer", "name", "eth0", "address", macOf(self.address),
           "netns", self.name)
        ip("link", "set", "v-" + self.name, "master", "br0", "up")
        ip("-n", self.name, "addr", "add", f"{self.address}/{NETWORK.prefixlen}", "dev", "eth0")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", "eth0", "up")

    def argv(self, argv):
        """The command that runs `argv` on this host: it becomes the same process."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, argv)]

    def setRules(self, key, incoming=(), outgoing=()):
        """nftables rules under a key of the caller's; no rules take the key's away. All of them change at one instant."""
        for table, rules in ((self.incoming, incoming), (self.outgoing, outgoing)):
            table.pop(key, None)
            if rules:
                table[key] = list(rules)
        text = "flush ruleset\ntable inet nemesis {\n"
        for hook, table in (("input", self.incoming), ("output", self.outgoing)):
            lines = [line for rules in table.values() for line in rules]
            text += f"chain {hook} {{\ntype filter hook {hook} priority 0; policy accept;\n" + "\n".join(lines) + "\n}\n"
        subprocess.run(self.argv(["nft", "-f", "-"]), input=text + "}\n", text=True, check=True)


def macOf(address):
    return "02:4d:" + ":".join(f"{part:02x}" for part in ipaddress.ip_address(address).packed)


class Network:
    """Hosts by name, with addresses in the order of the names."""

    def __init__(self, names):
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
        ip("link", "set", "lo", "up")
        ip("link", "add", "br0", "type", "bridge")
        ip("addr", "add", f"{ENTRY}/{NETWORK.prefixlen}", "dev", "br0")
        ip("link", "set", "br0", "up")
        self.hosts = {name: Host(name, NETWORK[10 + i]) for i, name in enumerate(names)}
        for host in self.hosts.values():
            host.connect()

    def __getitem__(self, name):
        return self.hosts[name]

    def addresses(self, names):
        return ", ".join(self.hosts[name].address for name in names)
