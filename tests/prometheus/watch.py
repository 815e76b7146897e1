"""Has a Prometheus scrape a Fourcast server under load for a minute, and holds what it then knows against what was done.

    watch.py BINARY CONFIG DASHBOARD

Expects prometheus and promtool in the path. Every process that it starts it ends itself.
"""

import contextlib
import http.client
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from with_server import Server  # noqa: E402

SECONDS = 60
EVENTS_A_SECOND = 50
SUBSCRIBERS = 5
WAYS = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
PATIENCE = 20
LISTENING = re.compile(r'msg="Listening on" address=(\S+)')

PROMETHEUS = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: fourcast
    authorization: {{ credentials: "{key}" }}
    static_configs: [{{ targets: ["{target}"] }}]
"""


def main(binary, config, dashboard):
    with open(config, "rb") as file:
        key = tomllib.load(file)["admin"]["key"]
    with tempfile.TemporaryDirectory(prefix="fourcast-") as scratch:
        server = Server(binary, config, os.path.join(scratch, "journal"))
        try:
            # In the order in which the server names them.
            data, operator = server.address(), server.address()
            watch(data, operator, key, scratch, dashboard)
        except BaseException:
            server.show_log()
            raise
        finally:
            stopped_well = server.stop()
    return 0 if stopped_well else 1


def watch(data, operator, key, scratch, dashboard):
    check_with_promtool(operator, key)
    with contextlib.ExitStack() as ending:
        prometheus = ending.enter_context(Prometheus(operator, key, scratch))
        subscribers = [Subscriber(data, media) for media in WAYS.values() for _ in range(SUBSCRIBERS)]
        for subscriber in subscribers:
            ending.callback(subscriber.close)
        published = publish(data, lambda: check_with_promtool(operator, key))
        prometheus.wait_until_scraped()
        check_figures(prometheus, published)
        check_dashboard(prometheus, dashboard)


def check_with_promtool(operator, key):
    """Every complaint of promtool is an exit code."""
    request = urllib.request.Request(f"http://{operator}/metrics", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        text = answer.read()
    subprocess.run(["promtool", "check", "metrics"], input=text, check=True, timeout=PATIENCE)
    print(f"promtool: {len(text.splitlines())} lines are well")


class Subscriber:
    """Reads whatever comes, so that it is never behind."""

    def __init__(self, data, media_type):
        self.connection = http.client.HTTPConnection(data, timeout=PATIENCE)
        self.connection.request("GET", "/watched", headers={"Accept": media_type})
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.status
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while self.answer.read1(65536):
                pass

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(2)


def publish(data, halfway):
    """Publishes at an even pace, being refused now and then; how many events were acknowledged."""
    connection = http.client.HTTPConnection(data, timeout=PATIENCE)
    begun = time.monotonic()
    total = SECONDS * EVENTS_A_SECOND
    for number in range(total):
        time.sleep(max(0, begun + number / EVENTS_A_SECOND - time.monotonic()))
        expect(connection, 201, "POST", "/watched", f"event {number}")
        if number % (5 * EVENTS_A_SECOND) == 0:
            expect(connection, 400, "GET", "/watched?after=nonsense")
        if number == total // 2:
            halfway()
    connection.close()
    return total


def expect(connection, status, method, path, body=None):
    connection.request(method, path, body)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == status, (answer.status, text)


class Prometheus:
    """A Prometheus on a port of its own, with its data in the scratch directory."""

    def __init__(self, operator, key, scratch):
        config = os.path.join(scratch, "prometheus.yml")
        with open(config, "w") as file:
            file.write(PROMETHEUS.format(key=key, target=operator))
        subprocess.run(["promtool", "check", "config", config], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={os.path.join(scratch, 'prometheus')}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        self.found = queue.Queue()
        threading.Thread(target=self.read_log, daemon=True).start()

    def read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            if address := LISTENING.search(line):
                self.found.put(address.group(1))

    def __enter__(self):
        self.url = f"http://{self.found.get(timeout=PATIENCE)}"
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print("the end of the log of Prometheus:", *self.log[-20:], sep="\n", file=sys.stderr)
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def query(self, expression):
        """The samples that it finds, each [labels, number]."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                result = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def number(self, expression):
        samples = self.query(expression)
        assert len(samples) == 1, (expression, samples)
        return samples[0][1]

    def wait_until_scraped(self):
        """Until it has scraped twice from now on."""
        wanted = self.number("count_over_time(up[10m])") + 2
        end = time.monotonic() + PATIENCE
        while self.number("count_over_time(up[10m])") < wanted:
            assert time.monotonic() < end, "Prometheus does not scrape"
            time.sleep(0.2)


def check_figures(prometheus, published):
    scrapes = prometheus.number("count_over_time(up[10m])")
    assert scrapes >= SECONDS * 0.75, scrapes
    assert prometheus.number("min_over_time(up[10m])") == 1, "a scrape failed"
    assert prometheus.number("fourcast_events_published_total") == published
    for way in WAYS:
        delivered = prometheus.number(f'fourcast_deliveries_total{{way="{way}"}}')
        assert delivered == published * SUBSCRIBERS, (way, delivered)
        assert prometheus.number(f'fourcast_connections{{way="{way}"}}') == SUBSCRIBERS
    assert prometheus.number("fourcast_journal_append_seconds_count") == published
    print(f"Prometheus: {scrapes:.0f} scrapes, all up; {published} events, each to {SUBSCRIBERS * len(WAYS)} subscribers")


def check_dashboard(prometheus, dashboard):
    """Every query of it finds something."""
    with open(dashboard) as file:
        panels = json.load(file)["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in expressions:
        for variable, value in [("$__rate_interval", "30s"), ("$job", ".*"), ("$instance", ".*")]:
            expression = expression.replace(variable, value)
        assert prometheus.query(expression), f"{expression} finds nothing"
    print(f"dashboard: {len(expressions)} queries, all find something")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
