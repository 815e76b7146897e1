"""A TCP proxy that drops its connections on demand, so that clients are seen to resume."""

import socket
import struct
import threading


class DroppingProxy:
    """Listens on a free port of 127.0.0.1 and passes every byte on to the server, both ways."""

    def __init__(self, server):
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self):
        """Resets every connection, as a failing network would."""
        with self.lock:
            dropped, self.open = self.open, []
        for end in dropped:
            _reset(end)

    def close(self):
        """Drops every connection and takes no more."""
        self.listener.close()
        self.drop()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server, timeout=10)
            server.settimeout(None)
            with self.lock:
                self.open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        _reset(source)
        _reset(sink)


def _reset(end):
    try:
        # A linger of zero makes close send RST; shutdown wakes the thread that reads.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
