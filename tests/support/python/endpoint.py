"""The OpenAI endpoint of a native replica, asked as a gateway asks it."""
import http.client
import json
import os
import ssl
import subprocess

from local_cluster import TEST_BIN

PATIENCE_S = 60


def completion(model, prompt, tokens):
    """A greedy request that tells its tokens."""
    return {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "return_token_ids": True}


class Answer:
    def __init__(self, status, body):
        self.status, self.body = status, body

    def json(self):
        return json.loads(self.body)


class Endpoint:
    """Where the first rank of a replica answers now; the next generation answers elsewhere."""

    def __init__(self, cluster, name, identity="gateway-test"):
        self.model = name
        message = cluster.waitFor(f"the first rank of {name} says where it answers",
                                  lambda: cluster.ranks(name)[0]["message"])
        self.url = message.removeprefix("answers at ")
        pki = os.path.join(cluster.dir, "pki")
        self.ca = os.path.join(pki, "ca.crt")
        self.context = ssl.create_default_context(cafile=self.ca)
        self.sawDone = False
        if identity is None:
            return
        self.certificate, self.key = (os.path.join(pki, f"{identity}.{kind}") for kind in ("crt", "key"))
        if not os.path.exists(self.certificate):
            subprocess.run([os.path.join(TEST_BIN, "muster-make-pki"), pki, cluster.file()["cluster"],
                            identity.replace("-", "/", 1)], check=True)
        self.context.load_cert_chain(self.certificate, self.key)

    def open(self, path, body):
        connection = http.client.HTTPSConnection(self.url.removeprefix("https://"), timeout=PATIENCE_S,
                                                 context=self.context)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse()

    def post(self, path, body):
        with self.open(path, body) as answer:
            return Answer(answer.status, answer.read())

    def tokens(self, prompt, count):
        """What it says to a prompt of token ids, as token ids."""
        return self.post("/v1/completions", completion(self.model, prompt, count)).json()["choices"][0]["token_ids"]

    def stream(self, path, body):
        """The events as they come; `sawDone` once the stream has said that it is whole."""
        with self.open(path, body) as answer:
            for line in answer:
                data = line.decode().strip().removeprefix("data: ")
                self.sawDone = self.sawDone or data == "[DONE]"
                if data and data != "[DONE]":
                    yield json.loads(data)
