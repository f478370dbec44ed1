"""A TCP relay that can fall silent: connections stay open, and nothing comes through any more."""
import socket
import threading


class Relay:
    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.flows = threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.flows.set()
        self.listener.close()

    def cut(self):
        self.flows.clear()

    def mend(self):
        self.flows.set()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                self.flows.wait()
                server = socket.create_connection(self.target)
            except OSError:
                return
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self.flows.wait()
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
