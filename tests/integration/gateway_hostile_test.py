#!/usr/bin/python3
"""The gateway against backends and clients that behave as none should: nothing hangs, nothing is half told."""
import json
import shutil
import signal
import socket
import threading
import time

from facts import check, checkEqual, runTests
from gateway_process import GatewayProcess, closedPort, readAnswer, route, routesTo
from hostile_backend import HostileBackend
from waiting import waitFor

SLACK_S = 1.5  # of a machine that is busy with other tests
REQUEST_S = 2.5  # deadline of a request, in gateway_process


def timed(act):
    start = time.monotonic()
    answer = act()
    return answer, time.monotonic() - start


def eventsOf(answer):
    return [line[6:] for line in answer.body.decode().split("\n") if line.startswith("data: ")]


def test_aRequestThatWasNotBegunGoesToAnotherReplica():
    for mode in ("half_close", "reset", "busy"):
        bad, well = HostileBackend(mode), HostileBackend()
        with GatewayProcess(routesTo([bad, well])) as gateway:
            for _ in range(20):
                answer = gateway.complete()
                checkEqual((answer.status, answer.json()["port"]), (200, well.port), f"an answer beside {mode}")
            check(bad.requests > 0, f"{mode} was never asked")
            checkEqual(well.requests, 20, "requests of the well one")


def test_aReplicaThatIsGoneCostsNoRequest():
    well = HostileBackend()
    with GatewayProcess(routesTo([f"http://127.0.0.1:{closedPort()}", well])) as gateway:
        checkEqual([gateway.complete().status for _ in range(50)], [200] * 50, "answers")
        # Of two in turn it would be met 25 times; it is left out after three, and tried again ever more rarely.
        check(gateway.metric("muster_gateway_retries_total") <= 12, "the dead one is left out after a few failures")


def test_noBackendMakesAClientHang():
    wanted = {"black_hole": (504, "first_byte_deadline"), "slow_head": (504, "first_byte_deadline"),
              "half_close": (502, "no_answer"), "reset": (502, "no_answer"), "garbage": (502, "bad_answer"),
              "ambiguous": (502, "bad_answer"), "short": (502, "answer_broken"), "head_only": (502, "answer_broken")}
    backends = {mode: HostileBackend(mode) for mode in wanted}
    routes = [route(mode.replace("_", "-"), 0, one.address) for mode, one in backends.items()]
    routes.append(route("gone", 0, f"http://127.0.0.1:{closedPort()}"))
    routes.append(route("nowhere", 0, "http://192.0.2.1:9"))  # plain, and not on this machine
    with GatewayProcess(routes) as gateway:
        for mode, (status, code) in wanted.items():
            for stream in (False, True):
                answer, took = timed(lambda: gateway.complete(mode.replace("_", "-"), stream=stream))
                checkEqual((answer.status, answer.code), (status, code), f"{mode}, stream {stream}")
                check(took < REQUEST_S + SLACK_S, f"{mode} took {took:.2f} s")
        checkEqual(gateway.complete("gone").code, "replica_unreachable", "nobody listens")
        checkEqual(gateway.complete("nowhere").code, "replica_unreachable", "plain HTTP to another machine")


def test_aBackendThatAcceptsNothingIsGivenUpInTime():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        address = f"http://127.0.0.1:{full.getsockname()[1]}"
        # Fill the backlog: further connections get no answer at all.
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with GatewayProcess(routesTo([address])) as gateway:
            answer, took = timed(gateway.complete)
            check(answer.status in (502, 504), repr(answer))
            check(took < REQUEST_S + SLACK_S, f"it took {took:.2f} s")


def test_aStreamThatBreaksOffEndsWithAnErrorEvent():
    for mode in ("stream_end", "stream_reset", "stream_stall"):
        with GatewayProcess(routesTo([HostileBackend(mode)])) as gateway:
            answer, took = timed(lambda: gateway.complete(stream=True))
            checkEqual((answer.status, answer.ended), (200, True), mode)
            events = eventsOf(answer)
            checkEqual(len(events), 4, f"events of {mode}: {events}")
            checkEqual(json.loads(events[-1])["error"]["code"], "answer_broken", mode)
            check("[DONE]" not in answer.body.decode(), "an end that was none")
            check(took < REQUEST_S + SLACK_S, f"{mode} took {took:.2f} s")


def readUntil(connection, mark, data=b""):
    """What has come once `mark` is in it; an answer may come in any pieces."""
    while mark not in data:
        piece = connection.recv(65536)
        check(piece, f"the answer ended without {mark!r}: {data!r}")
        data += piece
    return data


def test_aStreamIsPassedOnAsItComes():
    backend = HostileBackend(events=5, pause=0.2)
    with GatewayProcess(routesTo([backend])) as gateway, gateway.connect() as connection:
        start = time.monotonic()
        gateway.send(connection, "POST", "/v1/chat/completions", {"model": "chat", "stream": True, "messages": []})
        first = readUntil(connection, b"t0")
        check(time.monotonic() - start < 0.2 * 5, "the first token waited for the last one")
        check(b"[DONE]" in readUntil(connection, b"\r\n0\r\n\r\n", first), "no end of the stream")
        checkEqual(gateway.metric("muster_time_to_first_token_seconds_count"), 1, "first tokens")
        checkEqual(gateway.metric("muster_inter_token_latency_seconds_count"), 5, "further tokens")


def test_aClientThatHangsUpCancelsItsRequest():
    for stream in (False, True):
        backend = HostileBackend(hold=30) if not stream else HostileBackend(events=1000, pause=0.05)
        with GatewayProcess(routesTo([backend]), deadlines={"request": "60s"}) as gateway:
            with gateway.connect() as connection:
                gateway.send(connection, "POST", "/v1/chat/completions", {"model": "chat", "stream": stream})
                waitFor("the backend works on it", lambda: backend.requests == 1)
                if stream:
                    connection.recv(65536)
            waitFor("the backend is told", lambda: backend.hangups == 1)
            waitFor("nothing is under way", lambda: gateway.metric("muster_requests_running") == 0)


def test_everyRequestEndsWithinItsDeadline():
    modes = ["well", "black_hole", "slow_head", "half_close", "reset", "busy", "garbage", "short", "head_only",
             "stream_end", "stream_reset", "stream_stall", "error"]
    backends = [HostileBackend(mode) for mode in modes]
    late, answered = [], []

    def client(gateway, seed):
        for i in range(6):
            answer, took = timed(lambda: gateway.complete(stream=(seed + i) % 2 == 0))
            answered.append(answer.status)
            if took > REQUEST_S + SLACK_S or not answer.ended:
                late.append((took, answer))

    with GatewayProcess(routesTo(backends), balance="random", threads=2) as gateway:
        threads = [threading.Thread(target=client, args=(gateway, seed)) for seed in range(24)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        checkEqual(late, [], "late or broken answers")
        checkEqual(len(answered), 24 * 6, "answers")
        waitFor("nothing is left", lambda: gateway.metric("muster_requests_running") == 0)


def test_keptConnectionsThatWereClosedCostNothing():
    backend = HostileBackend()
    with GatewayProcess(routesTo([backend])) as gateway:
        for _ in range(10):
            checkEqual(gateway.complete().status, 200, "an answer")
        checkEqual(backend.connections, 1, "connections, kept")
        # It ends kept connections when the next request comes: that request is sent again on a new one.
        backend.mode = "end_kept"
        checkEqual([gateway.complete().status for _ in range(5)], [200] * 5, "answers")
        checkEqual(gateway.metric("muster_gateway_backend_failures_total"), 0, "failures of the replica")


def refusedRaw(gateway, data):
    with gateway.connect() as connection:
        connection.sendall(data)
        return readAnswer(connection)


def test_requestsThatCanBeReadInTwoWaysAreRefused():
    backend = HostileBackend()
    with GatewayProcess(routesTo([backend])) as gateway:
        post = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
        for data, status in ((post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
                             (post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
                             (post + b"Content-Length: -3\r\n\r\n", 400),
                             (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
                             (b"POST /v1/completions HTTP/1.1\nHost: x\n\n", 400),
                             (post + b"X: " + b"a" * 40000 + b"\r\n\r\n", 431),
                             (post + b"Content-Length: 99999999999\r\n\r\n", 413)):
            answer = refusedRaw(gateway, data)
            checkEqual(answer.status, status, repr(data[:120]))
            checkEqual(answer.json()["error"]["type"], "invalid_request_error", "type of the error")
        for body, code in ((b"{", "invalid_json"), (b'{"model":"chat","model":"chat"}', "duplicate_key"),
                           (b'{"messages":[]}', "missing_field")):
            answer = gateway.ask("POST", "/v1/chat/completions", body)
            checkEqual((answer.status, answer.code), (400, code), repr(body))
        checkEqual(gateway.ask("GET", "/v1/chat/completions").status, 405, "a GET")
        checkEqual(gateway.get("/v1/chat").code, "unknown_url", "no such path")
        checkEqual(backend.requests, 0, "requests that reached the backend")


def test_modelsAreFoundByNameAndAlias():
    backend, loading = HostileBackend(), route("big", 0, "", state="Loading", progress=0.4, message="0 of 2 ranks")
    routes = routesTo([backend], aliases=["gpt-4o"]) + [loading]
    with GatewayProcess(routes) as gateway:
        answer = gateway.complete("gpt-4o")
        checkEqual((answer.status, answer.json()["model"]), (200, "chat"), "by alias")
        checkEqual(json.loads(backend.bodies[-1])["model"], "chat", "what the rank is asked for")
        missing = gateway.complete("chet")
        checkEqual((missing.status, missing.code), (404, "model_not_found"), "no such model")
        check('did you mean "chat"?' in missing.json()["error"]["message"], repr(missing))
        wait = gateway.complete("big")
        checkEqual((wait.status, wait.code), (503, "model_loading"), "loading")
        check("40% done" in wait.json()["error"]["message"] and "retry-after" in wait.headers, repr(wait))
        names = [one["id"] for one in gateway.get("/v1/models").json()["data"]]
        checkEqual(names, ["big", "chat", "gpt-4o"], "models")
        checkEqual(gateway.get("/v1/models/gpt-4o").json()["root"], "chat", "one model")
        checkEqual(gateway.get("/v1/models/x").code, "model_not_found", "no model")


def test_aStoppedGatewayLetsRunningRequestsEnd():
    backend = HostileBackend(events=10, pause=0.1)
    with GatewayProcess(routesTo([backend])) as gateway, gateway.connect() as connection:
        gateway.send(connection, "POST", "/v1/chat/completions", {"model": "chat", "stream": True})
        waitFor("the stream has begun", lambda: backend.requests == 1)
        ended = []
        stopper = threading.Thread(target=lambda: ended.append(gateway.stop()))
        stopper.start()
        answer = readAnswer(connection)
        check(answer.ended and eventsOf(answer)[-1] == "[DONE]", repr(answer))
        stopper.join()
        checkEqual(ended, [0], "exit code")


def test_theLastViewIsKeptAcrossARestart():
    backend = HostileBackend()
    with GatewayProcess(routesTo([backend])) as gateway:
        checkEqual(gateway.complete().status, 200, "before")
        checkEqual(gateway.stop(), 0, "exit code")
        gateway.start()
        checkEqual(gateway.complete().status, 200, "after, with no coordinator at all")
        gateway.child.kill()
        gateway.child.wait()
        gateway.start()
        checkEqual(gateway.complete().status, 200, "after a crash")


def test_replicasBehindTlsMustBeTheWorkersOfTheirNode():
    with GatewayProcess([]) as gateway:
        right, wrongRole = HostileBackend(tls=gateway.tls("worker-w1")), HostileBackend(tls=gateway.tls("coordinator-co1"))
        wrongNode = HostileBackend(tls=gateway.tls("worker-w2"))
        gateway.stop()
        gateway.keepView([route("right", 0, right.address), route("role", 0, wrongRole.address),
                          route("node", 0, wrongNode.address)])
        gateway.start()
        for _ in range(3):
            checkEqual(gateway.complete("right").status, 200, "the right one")
        checkEqual(right.connections, 1, "connections, kept")
        checkEqual(gateway.complete("role").code, "replica_unreachable", "a coordinator's certificate")
        checkEqual(gateway.complete("node").code, "replica_unreachable", "another node's certificate")
        checkEqual((wrongRole.requests, wrongNode.requests), (0, 0), "requests that reached the wrong ones")


def test_certificatesAreReadAgainAndConnectionsGoOn():
    with GatewayProcess([]) as gateway:
        before, after = HostileBackend(tls=gateway.tls("worker-w1")), HostileBackend(tls=gateway.tls("worker-w1"))
        gateway.stop()
        gateway.keepView([route("before", 0, before.address), route("after", 0, after.address)])
        gateway.start()
        checkEqual(gateway.complete("before").status, 200, "with the first certificate")
        for kind in ("crt", "key"):
            shutil.copy(f"{gateway.pki}/viewer-anna.{kind}", f"{gateway.pki}/gateway-gw1.{kind}")
        gateway.child.send_signal(signal.SIGHUP)
        waitFor("they are read again", lambda: "certificates are read again" in gateway.logText())
        checkEqual((gateway.complete("before").status, gateway.complete("after").status), (200, 200), "answers")
        checkEqual((before.names, after.names), (["gateway/gw1"], ["viewer/anna"]), "who the backends met")
        with open(f"{gateway.pki}/gateway-gw1.key", "w") as file:
            file.write("no key")
        gateway.child.send_signal(signal.SIGHUP)
        waitFor("they are not", lambda: "certificates are not read again" in gateway.logText())
        checkEqual(gateway.complete("after").status, 200, "with what there was")


if __name__ == "__main__":
    runTests("GatewayHostile", globals())
