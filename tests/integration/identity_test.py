#!/usr/bin/python3
"""Who may do what, seen from outside: certificates, ports and znodes."""
import os
import socket
import ssl
import subprocess

from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from processes import commandLine, listeningPorts, processesOf
from sample import deployment, makeSmallModel
from zookeeper import NO_AUTH, ZooKeeper

# A Cap'n Proto message that asks for the bootstrap capability: one segment of five words. Whoever answers it serves.
BOOTSTRAP = bytes.fromhex("0000000005000000" "0000000001000100" "0800000000000000" "0000000001000100"
                          "0000000000000000" "0000000000000000")
SILENCE_S = 5


def changes(cluster, model):
    """One command for each method that only operators may call."""
    return [(("apply", "-"), deployment("mine", model)), (("delete", "sample", "--yes"), ""),
            (("scale", "sample", "--replicas", "1", "--yes"), ""), (("cordon", "w1"), ""), (("uncordon", "w1"), ""),
            (("drain", "w1", "--yes"), ""), (("admin", "step-down", "--yes"), "")]


def checkDenied(cluster, model, role, name):
    context = cluster.contextAs(role, name)
    for words, stdin in changes(cluster, model):
        answer = cluster.cli(*words, stdin=stdin, context=context)
        check(answer.code == 6 and answer.err.startswith("error[E020"), f"{role}/{name} may {words}: {answer}")


def test_aWorkersCertificateChangesNothing():
    with LocalCluster(workers=2) as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model), "--wait")
        before = cluster.awaitOneIndex()["coordinators"]
        checkDenied(cluster, model, "worker", "w1")
        checkDenied(cluster, model, "coordinator", "co1")
        after = cluster.awaitOneIndex()["coordinators"]
        checkEqual(after[0]["state_hash"], before[0]["state_hash"], "the state hash")


def authority(folder, name):
    """Another authority with an admin's certificate; gives (certificate, key)."""
    paths = {kind: os.path.join(folder, f"{name}.{kind}") for kind in ("crt", "key")}
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", paths["key"], "-out", paths["crt"], "-days", "1", "-subj", "/CN=admin\\/admin",
                    "-addext", "subjectAltName=DNS:admin.local.muster"], check=True, capture_output=True)
    return paths["crt"], paths["key"]


def clientContext(certificate=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def answerOf(port, context, request):
    """What a server says to a request over TLS (over bare TCP with context None); empty when it hangs up."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S) as bare:
            with context.wrap_socket(bare) if context else bare as connection:
                connection.sendall(request)
                return connection.recv(4096)
    except (ssl.SSLError, ConnectionError, TimeoutError):
        return b""


def certificateOf(cluster, name):
    return tuple(os.path.join(cluster.dir, "pki", f"{name}.{kind}") for kind in ("crt", "key"))


def strangers(cluster):
    return {"bare TCP": None, "no certificate": clientContext(),
            "another authority's certificate": clientContext(authority(cluster.root, "stranger")),
            "TLS 1.2": clientContext(certificateOf(cluster, "admin-admin"), ssl.TLSVersion.TLSv1_2)}


def alert(answer):
    """A TLS alert to somebody who does not speak TLS is no answer."""
    return answer[:1] == b"\x15"


def test_noPortAnswersWithoutACertificate():
    with LocalCluster() as cluster:
        cluster.apply(deployment("sample", makeSmallModel(cluster.models)), "--wait")
        file = cluster.file()["processes"]
        rpc = {int(one["addresses"]["rpc"].rsplit(":", 1)[1]) for one in file if "rpc" in one["addresses"]}
        # HTTP says who may see what by its status; a gateway's port is for clients without certificates.
        http = {int(one["addresses"]["http"].rsplit(":", 1)[1]) for one in file if "http" in one["addresses"]}
        endpoints = {int(one["message"].rsplit(":", 1)[1]) for one in cluster.ranks("sample") if "answers at" in one["message"]}
        checkEqual(len(endpoints), 1, "ranks that answer requests")
        client = {int(one["addresses"]["client"].rsplit(":", 1)[1]) for one in file if "client" in one["addresses"]}
        ports = listeningPorts(processesOf(cluster.dir))
        check(rpc <= ports.keys(), f"RPC ports {rpc}, but only {ports} listen")
        java = {port for port, pid in ports.items() if commandLine(pid).find("zookeeper") >= 0}
        checkEqual(java - client, set(), "ports of ZooKeeper beside the clients'")
        members = strangers(cluster)
        for port in ports.keys() - client - http - endpoints:
            for who, context in members.items():
                answer = answerOf(port, context, BOOTSTRAP)
                check(not answer or alert(answer), f"{commandLine(ports[port])} answers {who} on {port}: {answer}")
        own = clientContext(certificateOf(cluster, "admin-admin"))
        for port in rpc:
            check(answerOf(port, own, BOOTSTRAP), f"{port} does not answer the admin's certificate either")
        for port in http & ports.keys():
            for who, context in members.items():
                answer = answerOf(port, context, b"GET /api/v1/cluster HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                check(not answer.startswith(b"HTTP/1.1 2"), f"HTTP port {port} answers {who}: {answer}")


def test_noZnodeIsReadWithoutTheDigest():
    with LocalCluster(workers=1) as cluster:
        address = cluster.file()["zookeeper"][0]
        with open(os.path.join(cluster.dir, "secrets", "zookeeper-digest")) as file:
            digest = file.read().strip()
        checkEqual(os.stat(file.name).st_mode & 0o077, 0, "rights of others to the digest's file")
        with ZooKeeper(address, digest) as ours, ZooKeeper(address) as nobody, ZooKeeper(address, "a:b") as other:
            tree = list(ours.tree("/muster-local"))
            wanted = {"/muster-local/epoch", "/muster-local/candidates", "/muster-local/log/0000000001"}
            check(wanted <= set(tree), f"the tree lacks {wanted - set(tree)}")
            for path in tree:
                for session in (nobody, other):
                    checkEqual((session.data(path)[0], session.children(path)[0]), (NO_AUTH, NO_AUTH),
                               f"reading {path} without the digest")
            for pid in processesOf(cluster.dir):
                check(digest not in commandLine(pid), f"the digest stands in the arguments of {commandLine(pid)}")


if __name__ == "__main__":
    runTests("Identity", globals())
