"""Looks at processes through /proc."""
import os
import signal
import socket
import struct


def readOrNothing(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def startTime(pid):
    """Field 22 of /proc/PID/stat, None when there is no such process or it is a zombie."""
    stat = readOrNothing(f"/proc/{pid}/stat")
    fields = stat[stat.rfind(b")") + 2:].split()
    return int(fields[19]) if fields and fields[0] != b"Z" else None


def state(pid):
    """One letter: R, S, T (stopped), Z; None when there is no such process."""
    stat = readOrNothing(f"/proc/{pid}/stat")
    return stat[stat.rfind(b")") + 2:].split()[0].decode() if stat else None


def commandLine(pid):
    return readOrNothing(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def environmentOf(pid):
    """What a running process was started with."""
    with open(f"/proc/{pid}/environ") as file:
        return dict(one.split("=", 1) for one in file.read().split("\0") if "=" in one)


def allPids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def processesOf(directory):
    """Every process but this one that has to do with a directory: by its arguments, its folder or its environment."""
    mark = os.fsencode(directory)

    def concerns(pid):
        try:
            folder = os.fsencode(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            folder = b""
        return (folder == mark or folder.startswith(mark + b"/") or mark in readOrNothing(f"/proc/{pid}/cmdline")
                or mark in readOrNothing(f"/proc/{pid}/environ"))

    return [pid for pid in allPids() if pid != os.getpid() and concerns(pid) and startTime(pid) is not None]


def readCount(pid):
    """rchar: bytes that the process has asked read() for; pages of mapped files do not count."""
    for line in readOrNothing(f"/proc/{pid}/io").splitlines():
        if line.startswith(b"rchar:"):
            return int(line.split()[1])
    raise OSError(f"no rchar of process {pid}")


def listeningPorts(pids):
    """{port: pid} of the TCP sockets on which these processes listen."""
    inodes = {}
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes[target[8:-1]] = pid
    ports = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in readOrNothing(table).decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports[int(fields[1].rsplit(":", 1)[1], 16)] = inodes[fields[9]]
    return ports


def listeningAddresses(port):
    """Where somebody in our network listens on a TCP port: {"127.0.0.1"}, {"0.0.0.0"}, {"::"}, nothing."""
    addresses = set()
    for table, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
        for line in readOrNothing(table).decode().splitlines()[1:]:
            fields = line.split()
            address, _, local = fields[1].partition(":")
            if fields[3] == "0A" and int(local, 16) == port:
                words = struct.iter_unpack("=I", bytes.fromhex(address))  # each as this machine writes numbers
                addresses.add(socket.inet_ntop(family, b"".join(struct.pack(">I", word) for word, in words)))
    return addresses


def resetOnClose(connection):
    """So that a connection of a test leaves no port in TIME_WAIT."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def killAll(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
