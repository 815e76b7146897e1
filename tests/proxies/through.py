"""Sends every way through proxies in front of a Fourcast server, and holds the addresses that it sees against the truth.

    through.py BINARY DIRECTORY

Expects nginx, caddy and haproxy in the path, and their configurations in DIRECTORY. Every process that it starts it ends itself.
"""

import base64
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from with_server import Server  # noqa: E402

PATIENCE = 20
# Clients come from here and proxies from 127.0.0.1, which is the only one that is trusted.
CLIENT = "127.0.0.7"
FORGED = {"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.66"}
STREAMS = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}

CONFIG = """
listen = [{listen}]
hosts = ["events.example.com"]
[access]
mode = "open"
[admin]
listen = "127.0.0.1:0"
[proxies]
trusted = ["127.0.0.1", "unix"]
client = "{client}"
"""


def main(binary, directory):
    nginx, caddy, haproxy = [open(os.path.join(directory, name)).read() for name in ["nginx.conf", "Caddyfile", "haproxy.cfg"]]
    by_field = haproxy.replace("SEND", "").replace("REUSE", "safe")
    by_x_forwarded_for = by_field.replace("FORWARDING", "option forwardfor")
    by_forwarded = by_field.replace("FORWARDING", "http-request set-header Forwarded for=%[src]")
    # A connection says once whom it brings, so it is shared by nobody.
    by_protocol = haproxy.replace("FORWARDING", "").replace("REUSE", "never")
    run_nginx, run_haproxy = ["nginx", "-c"], ["haproxy", "-f"]
    run_caddy = ["caddy", "run", "--adapter", "caddyfile", "--config"]
    setups = [
        ("nginx, X-Forwarded-For", "x-forwarded-for", "", run_nginx, nginx),
        ("nginx, X-Forwarded-For, Unix socket", "x-forwarded-for", "unix:", run_nginx, nginx),
        ("Caddy, X-Forwarded-For", "x-forwarded-for", "", run_caddy, caddy),
        ("Caddy, X-Forwarded-For, Unix socket", "x-forwarded-for", "unix/", run_caddy, caddy),
        ("HAProxy, X-Forwarded-For", "x-forwarded-for", "", run_haproxy, by_x_forwarded_for),
        ("HAProxy, X-Forwarded-For, Unix socket", "x-forwarded-for", "unix@", run_haproxy, by_x_forwarded_for),
        ("HAProxy, Forwarded", "forwarded", "", run_haproxy, by_forwarded),
        ("HAProxy, PROXY v2", "proxy-protocol", "", run_haproxy, by_protocol.replace("SEND", "send-proxy-v2")),
        ("HAProxy, PROXY v1", "proxy-protocol", "", run_haproxy, by_protocol.replace("SEND", "send-proxy")),
    ]
    return 0 if all([check(binary, *setup) for setup in setups]) else 1


def check(binary, name, client, socket_scheme, command, template):
    """`socket_scheme` is how the proxy writes a Unix socket; without it the two speak TCP."""
    with tempfile.TemporaryDirectory(prefix="fourcast-") as scratch:
        path = os.path.join(scratch, "s")
        config = os.path.join(scratch, "config.toml")
        listen = f'"127.0.0.1:0", "unix:{path}"' if socket_scheme else '"127.0.0.1:0"'
        with open(config, "w") as file:
            file.write(CONFIG.format(listen=listen, client=client))
        server = Server(binary, config, os.path.join(scratch, "journal"))
        try:
            # In the order in which the server names them.
            data, operator = server.address(), server.address()
            target = socket_scheme + path if socket_scheme else data
            with Proxy(command, template.replace("SERVER", target), scratch) as proxy:
                go_through(proxy.port, operator)
        except BaseException:
            print(f"{name}: failed", file=sys.stderr)
            server.show_log()
            raise
        finally:
            stopped_well = server.stop()
    print(f"{name}: polls, long polls, SSE, NDJSON and WebSocket go through, and {CLIENT} is seen")
    return stopped_well


class Proxy:
    """A proxy on a port that was free a moment ago; if it has been taken since, on another."""

    def __init__(self, command, template, scratch):
        self.command, self.template, self.scratch = command, template, scratch

    def __enter__(self):
        for _ in range(5):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            if self.start():
                return self
        raise SystemExit(f"{self.command[0]} does not start")

    def start(self):
        config = os.path.join(self.scratch, "proxy.conf")
        with open(config, "w") as file:
            file.write(self.template.replace("SCRATCH", self.scratch).replace("PORT", str(self.port)))
        # Caddy keeps what it keeps there.
        homes = {"HOME": self.scratch, "XDG_DATA_HOME": self.scratch, "XDG_CONFIG_HOME": self.scratch}
        self.process = subprocess.Popen([*self.command, config], stdin=subprocess.DEVNULL, env={**os.environ, **homes})
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE):
                return True
            time.sleep(0.02)
        self.__exit__()
        return False

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def go_through(port, operator):
    poll(port)
    for way, media in STREAMS.items():
        stream(port, operator, way, media)
    long_poll(port, operator)
    websocket(port, operator)
    large_body(port)


def poll(port):
    publish(port, "poll", "hello")
    answer = ask(port, "GET", "/poll?after=earliest")
    text = answer.read().decode()
    assert answer.status == 200 and '"hello"' in text, text
    answer = ask(port, "GET", "/poll", {"Host": "elsewhere.example.com"})
    assert answer.status == 421, answer.status


def stream(port, operator, way, media):
    answer = ask(port, "GET", f"/{way}?after=now", {"Accept": media})
    assert answer.status == 200, answer.status
    read_until(answer, b"welcome")
    assert_seen(operator, way)
    for text in ["first", "second"]:
        # The second comes while the stream goes on, so nobody keeps the first back.
        publish(port, way, text)
        read_until(answer, text.encode())
    answer.close()


def long_poll(port, operator):
    cursor = json.load(ask(port, "GET", "/long?after=now"))["cursor"]
    connection = connect(port)
    connection.request("GET", f"/long?after={cursor}", headers={**HEADERS, "Prefer": "wait=15"})
    assert_seen(operator, "long-poll")
    publish(port, "long", "hello")
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200 and '"hello"' in text, text
    connection.close()


def websocket(port, operator):
    key = base64.b64encode(os.urandom(16)).decode()
    fields = {
        **HEADERS,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (CLIENT, 0)) as wire:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        wire.sendall(f"GET /ws?after=now HTTP/1.1\r\n{lines}\r\n".encode())
        came = Wire(wire)
        read_until(came, b"101 Switching Protocols")
        read_until(came, b"welcome")
        assert_seen(operator, "websocket")
        publish(port, "ws", "from outside")
        read_until(came, b"from outside")
        wire.sendall(masked('{"op":"publish","channel":"ws","data":"from inside"}'))
        read_until(came, b"from inside")


def large_body(port):
    """Larger than any buffer of a proxy."""
    large = "x" * 900_000
    publish(port, "large", large)
    answer = ask(port, "GET", "/large?after=earliest")
    assert len(answer.read()) > len(large)


HEADERS = {"Host": "events.example.com", **FORGED}


def connect(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(CLIENT, 0))


def ask(port, method, target, fields=(), body=None):
    connection = connect(port)
    connection.request(method, target, body=body, headers={**HEADERS, **dict(fields)})
    return connection.getresponse()


def publish(port, channel, text):
    answer = ask(port, "POST", f"/{channel}", body=text)
    answer.read()
    assert answer.status == 201, answer.status


def assert_seen(operator, way):
    end = time.monotonic() + PATIENCE
    while True:
        host, port = operator.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        connection.request("GET", f"/-/connections?way={way}")
        seen = [one["address"] for one in json.load(connection.getresponse())["connections"]]
        connection.close()
        if seen:
            break
        assert time.monotonic() < end, f"nobody is there by {way}"
        time.sleep(0.02)
    assert [address.split(":")[0] for address in seen] == [CLIENT], seen


class Wire:
    """A socket that is read as an answer is."""

    def __init__(self, wire):
        self.wire = wire

    def read1(self, most):
        return self.wire.recv(most)


def read_until(source, mark):
    """What comes behind the mark in one read is dropped; nothing here sends so that it matters."""
    came = getattr(source, "came", b"")
    while mark not in came:
        piece = source.read1(65536)
        assert piece, f"it ended before {mark}: {came}"
        came += piece
    source.came = came.split(mark, 1)[1]


def masked(text):
    data = text.encode()
    mask = os.urandom(4)
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data)]) + mask + body


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
