#!/usr/bin/python3
"""Changes and newest reads over HTTP, asked of whichever coordinator: the leader carries them out, once."""
import http.client
import json
import os
import subprocess

from facts import check, checkEqual, runTests
from identity_test import certificateOf, clientContext
from local_cluster import LocalCluster
from sample import makeSmallModel, sleeper

ANSWER_S = 10
COORDINATORS = ("co1", "co2", "co3")


class Http:
    """The HTTP ports of a cluster's coordinators, asked with one certificate."""

    def __init__(self, cluster, certificate=None):
        self.cluster = cluster
        self.context = clientContext(certificate or certificateOf(cluster, "admin-admin"))

    def call(self, id, method, path, body=None, **headers):
        """(status, headers with names in lower case, object)"""
        port = int(self.cluster.process(id)["addresses"]["http"].rsplit(":", 1)[1])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=ANSWER_S, context=self.context)
        text = json.dumps(body) if isinstance(body, dict) else body
        try:
            connection.request(method, path, text, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return response.status, given, json.loads(response.read())
        finally:
            connection.close()

    def ok(self, *words, **headers):
        status, given, answer = self.call(*words, **headers)
        checkEqual(status, 200, f"status of {words}: {answer}")
        return given, answer


def viewersCertificate(cluster):
    folder, name = os.path.join(cluster.dir, "pki"), os.path.join(cluster.root, "viewer")
    with open(f"{name}.ext", "w") as file:
        file.write("subjectAltName=DNS:viewer.local.muster\n")
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=viewer\\/vera"], check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", f"{folder}/ca.crt", "-CAkey",
                    f"{folder}/ca.key", "-CAcreateserial", "-CAserial", f"{name}.srl", "-days", "1", "-extfile",
                    f"{name}.ext", "-out", f"{name}.crt"], check=True, capture_output=True)
    return f"{name}.crt", f"{name}.key"


def phaseOf(cluster, node):
    return next(one for one in cluster.run("get", "nodes", "-o", "json").json()["items"] if one["name"] == node)["status"]["phase"]


def test_aChangeIsCarriedOutByTheLeaderWhoeverIsAsked():
    with LocalCluster(workers=2) as cluster:
        ports = Http(cluster)
        for id in COORDINATORS:
            given, answer = ports.ok(id, "POST", "/api/v1/nodes/w1/cordon", {"reason": id}, X_Request_Id=f"r-{id}")
            checkEqual((given["x-request-id"], answer["kind"]), (f"r-{id}", "cordoned"), f"the answer of {id}")
            # Asked of another: what was acknowledged is in a consistent read, wherever.
            for other in COORDINATORS:
                read, nodes = ports.ok(other, "GET", "/api/v1/nodes?consistent=true")
                check(int(read["x-muster-index"]) >= int(given["x-muster-index"]), f"{other} reads from before: {read}")
                check("x-muster-age-ms" not in read, f"{other} marks a consistent read as stale")
                checkEqual(next(one for one in nodes["items"] if one["name"] == "w1")["status"]["phase"], "Cordoned",
                           f"w1 as {other} reads it")
            ports.ok(id, "POST", "/api/v1/nodes/w1/uncordon")
            checkEqual(phaseOf(cluster, "w1"), "Ready", "the phase of w1")
        _, answer = ports.ok("co2", "POST", "/api/v1/nodes/w2/drain?dry_run=true", {"reason": "fan", "force": False})
        checkEqual((answer["kind"], answer["dry_run"]), ("draining", True), "a drain run dry")
        checkEqual(phaseOf(cluster, "w2"), "Ready", "the phase of w2")


def test_aDeploymentLivesByHttpAlone():
    with LocalCluster(workers=2) as cluster:
        model = makeSmallModel(cluster.models)
        ports = Http(cluster)
        text = sleeper("chat", model)
        _, plan = ports.ok("co1", "POST", "/api/v1/plan", text)
        ports.ok("co2", "POST", "/api/v1/apply", {"plan": plan["id"]})
        again, answer = ports.ok("co3", "POST", "/api/v1/apply", text)
        checkEqual(answer["deployments"][0]["action"], "none", f"the same again: {answer}")

        key = {"Idempotency_Key": "scale chat to 2"}
        first = [ports.ok(id, "POST", "/api/v1/deployments/default/chat/scale", {"replicas": 2}, **key)
                 for id in COORDINATORS]
        checkEqual(len({given["x-muster-index"] for given, _ in first}), 1, "indices of one change asked three times")
        checkEqual(first[0][0]["idempotency-key"], "scale chat to 2", "the key")
        revision = first[0][0]["etag"]

        path = "/api/v1/deployments/default/chat"
        ports.ok("co1", "POST", f"{path}/scale", {"replicas": 1}, If_Match=revision)
        status, _, problem = ports.call("co1", "DELETE", path, If_Match='"1"')
        checkEqual((status, problem["code"], problem["retryable"]), (409, "E0301", False), f"a stale delete: {problem}")
        ports.ok("co3", "DELETE", path)
        cluster.waitFor("it is gone", lambda: not cluster.run("get", "deployments", "-o", "json").json()["items"])


def test_whoMayNotIsRefusedAndWhatIsWrongIsNamed():
    with LocalCluster(workers=1) as cluster:
        viewer = Http(cluster, viewersCertificate(cluster))
        status = cluster.status()
        leader = status["leader"]["id"]
        standby = next(id for id in COORDINATORS if id != leader)
        for id in (leader, standby):
            viewer.ok(id, "GET", "/api/v1/nodes?consistent=true")
            status, _, problem = viewer.call(id, "POST", "/api/v1/nodes/w1/cordon")
            checkEqual((status, problem["code"]), (403, "E0202"), f"a viewer's cordon at {id}: {problem}")
        ports = Http(cluster)
        for method, path, body, wanted in (
                ("POST", "/api/v1/nodes/w9/cordon", None, (404, "E0304")),
                ("POST", "/api/v1/apply", "version: 1\nname: chat\nmodel: file:/m\nrepicas: 1\n", (400, "E0104")),
                ("POST", "/api/v1/deployments/default/chat/scale", {"replica": 1}, (400, "E0104")),
                ("DELETE", "/api/v1/deployments/default/chat", None, (404, "E0304"))):
            for id in (leader, standby):
                status, _, problem = ports.call(id, method, path, body)
                checkEqual((status, problem["code"]), wanted, f"{method} {path} at {id}: {problem}")


if __name__ == "__main__":
    runTests("Http", globals())
