"""Python's clients against the server at $FOURCAST_URL. Each receives in order, loses its connection, and resumes
with its cursor: nothing lost, nothing twice."""

import contextlib
import faulthandler
import functools
import http.client
import itertools
import json
import os
import sys
import traceback
import urllib.parse

import httpx
import httpx_sse
import requests
import sseclient
import websocket
import websockets.exceptions
import websockets.sync.client

from dropping_proxy import DroppingProxy

SECONDS = 15
WHOLE_RUN_SECONDS = 240
FIRST, SECOND = range(0, 100), range(100, 200)

URL = urllib.parse.urlsplit(os.environ["FOURCAST_URL"])


def main():
    # Whatever hangs in spite of the deadlines ends the run, and shows where.
    faulthandler.dump_traceback_later(WHOLE_RUN_SECONDS, exit=True)
    failed = 0
    for check in CHECKS:
        try:
            check(f"python-{os.getpid()}/{check.__name__}")
            print("ok      " + check.__name__)
        except Exception:
            traceback.print_exc()
            print("FAILED  " + check.__name__)
            failed += 1
    print(f"python: {len(CHECKS) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


# --- the ways, each as a client that can be opened at a cursor ---


class Client:
    """What the ways have in common: one iterator over the messages, kept for the client's life."""

    @functools.cached_property
    def messages(self):
        return self.read()


class WebsocketsLibrary(Client):
    """websockets, the blocking client."""

    def __init__(self, port, channel, cursor=None):
        self.opened = contextlib.ExitStack()
        self.socket = self.opened.enter_context(open_websocket(url("ws", port, channel, cursor)))

    def read(self):
        try:
            while True:
                yield json.loads(self.socket.recv(timeout=SECONDS))
        except websockets.exceptions.ConnectionClosed:
            return

    def send(self, operation):
        self.socket.send(json.dumps(operation))

    def close(self):
        self.opened.close()


class WebsocketClientLibrary(Client):
    """websocket-client."""

    def __init__(self, port, channel, cursor=None):
        self.socket = websocket.create_connection(url("ws", port, channel, cursor), timeout=SECONDS)

    def read(self):
        try:
            while text := self.socket.recv():
                yield json.loads(text)
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return

    def close(self):
        self.socket.close(timeout=SECONDS)


class HttpxSse(Client):
    """httpx with httpx-sse, a parser by the WHATWG rules."""

    def __init__(self, port, channel, cursor=None):
        self.client = httpx.Client(timeout=SECONDS)
        self.opened = httpx_sse.connect_sse(
            self.client, "GET", url("http", port, channel), headers=last_event_id(cursor)
        )
        self.source = self.opened.__enter__()
        self.source.response.raise_for_status()

    def read(self):
        try:
            for block in self.source.iter_sse():
                yield from message_of(block.event, block.id, block.data)
        except httpx.TransportError:
            return

    def close(self):
        self.opened.__exit__(None, None, None)
        self.client.close()


class SseclientPy(Client):
    """requests with sseclient-py."""

    def __init__(self, port, channel, cursor=None):
        headers = {"Accept": "text/event-stream", **last_event_id(cursor)}
        self.response = requests.get(
            url("http", port, channel), headers=headers, stream=True, timeout=SECONDS
        )
        self.response.raise_for_status()

    def read(self):
        try:
            for block in sseclient.SSEClient(self.response).events():
                yield from message_of(block.event, block.id, block.data)
        except requests.RequestException:
            return

    def close(self):
        self.response.close()


class RequestsNdjson(Client):
    """requests, line by line."""

    def __init__(self, port, channel, cursor=None):
        self.response = requests.get(
            url("http", port, channel, cursor),
            headers={"Accept": "application/x-ndjson"},
            stream=True,
            timeout=SECONDS,
        )
        self.response.raise_for_status()

    def read(self):
        try:
            # Larger chunks would be waited for.
            for line in self.response.iter_lines(chunk_size=1):
                yield json.loads(line)
        except requests.RequestException:
            return

    def close(self):
        self.response.close()


class RequestsLongPoll(Client):
    """requests, one long poll after the other."""

    def __init__(self, port, channel, cursor=None):
        self.session = requests.Session()
        self.url = url("http", port, channel)
        self.cursor = cursor or "now"

    def read(self):
        while True:
            try:
                answer = self.session.get(
                    self.url,
                    params={"after": self.cursor},
                    headers={"Prefer": "wait=5"},
                    timeout=SECONDS,
                )
            except requests.RequestException:
                return
            answer.raise_for_status()
            page = answer.json()
            self.cursor = page["cursor"]
            if "gap" in page:
                yield {"op": "gap", **page["gap"]}
            yield from page["events"]

    def close(self):
        self.session.close()


def message_of(event, id, data):
    """The message of an SSE block; its id line and its JSON must agree."""
    message = json.loads(data)
    expected = message.get("op", "message")
    assert event == expected, f"event: {event} around {data}"
    if "id" in message:
        assert id == message["id"], f"id: {id} around {data}"
    yield message


# --- the checks ---


def resumes(client_class):
    """A check: a client of this class gets all events in order across a connection that is reset."""

    def check(channel):
        proxy = DroppingProxy((URL.hostname, URL.port))
        try:
            cursor = head(channel)
            client = client_class(proxy.port, channel, cursor)
            publish(channel, FIRST)
            before = take(client, len(FIRST))
            proxy.drop()
            expect_the_end(client)
            client.close()

            publish(channel, SECOND[:50])
            client = client_class(proxy.port, channel, before[-1]["id"])
            publish(channel, SECOND[50:])
            after = take(client, len(SECOND))
            client.close()
        finally:
            proxy.close()
        expect_in_order(before + after, itertools.chain(FIRST, SECOND))

    check.__name__ = "resumes_" + client_class.__name__
    return check


def begins_live(client_class):
    """A check: a stream without a cursor begins with a welcome, then what is published after it."""

    def check(channel):
        publish(channel, [-1])
        client = client_class(URL.port, channel)
        messages = client.messages
        welcome = next(messages)
        assert welcome["op"] == "welcome" and welcome["heartbeat_ms"] > 0, welcome
        publish(channel, FIRST)
        expect_in_order(take(client, len(FIRST)), FIRST)
        client.close()

    check.__name__ = "begins_live_" + client_class.__name__
    return check


def every_way_shows_the_same_events(channel):
    cursor = head(channel)
    publish(channel, FIRST)
    seen = []
    for client_class in ALL_WAYS:
        client = client_class(URL.port, channel, cursor)
        seen.append(take(client, len(FIRST)))
        client.close()
    assert all(events == seen[0] for events in seen), seen


def the_way_changes_in_mid_course(channel):
    cursor = head(channel)
    publish(channel, FIRST)
    events = []
    for client_class in itertools.islice(itertools.cycle(ALL_WAYS), 20):
        client = client_class(URL.port, channel, cursor)
        events += take(client, 5)
        client.close()
        cursor = events[-1]["id"]
    expect_in_order(events, FIRST)


def a_websocket_publishes_and_hears_itself(channel):
    client = WebsocketsLibrary(URL.port, channel)
    messages = client.messages
    assert next(messages)["op"] == "welcome"
    client.send({"op": "publish", "type": "greeting", "data": {"text": "grüß dich 🎈"}, "ref": "r1"})
    client.send({"op": "ping", "ref": "r2"})
    event = next(messages)
    answers = [next(messages), next(messages)]
    assert answers == [{"op": "ack", "ref": "r1", "id": event["id"]}, {"op": "ack", "ref": "r2"}], answers
    assert event["type"] == "greeting" and event["data"] == {"text": "grüß dich 🎈"}, event
    client.close()


def a_websocket_without_channels_subscribes_and_leaves(channel):
    client = WebsocketsLibrary(URL.port, "-/socket")
    messages = client.messages
    assert next(messages)["op"] == "welcome"
    client.send({"op": "subscribe", "channels": [channel, channel + "/*"], "ref": 1})
    ack = next(messages)
    assert (ack["op"], ack["ref"]) == ("ack", 1), ack
    publish(channel + "/a", [0])
    publish(channel, [1])
    expect_in_order([next(messages), next(messages)], [0, 1])
    client.send({"op": "unsubscribe", "channels": [channel], "ref": 2})
    assert next(messages)["op"] == "ack"
    publish(channel, [2])
    publish(channel + "/b", [3])
    expect_in_order([next(messages)], [3])
    client.send({"op": "no such thing", "ref": 3})
    error = next(messages)
    assert (error["op"], error["ref"], error["retry"]) == ("error", 3, False), error
    client.close()


def a_websocket_that_subscribes_with_a_cursor_is_replayed_to(channel):
    cursor = head(channel)
    publish(channel, FIRST)
    client = WebsocketsLibrary(URL.port, "-/socket")
    messages = client.messages
    assert next(messages)["op"] == "welcome"
    client.send({"op": "subscribe", "channels": [channel], "after": cursor, "ref": 7})
    assert next(messages)["op"] == "ack"
    replayed = []
    for message in messages:
        assert message["ref"] == 7, message
        if message["op"] == "live":
            break
        assert message["op"] == "replay", message
        replayed += message["events"]
    expect_in_order(replayed, FIRST)
    publish(channel, SECOND)
    expect_in_order(take(client, len(SECOND)), SECOND)
    client.close()


def a_websocket_is_pinged_closed_and_answered(channel):
    with open_websocket(url("ws", URL.port, channel)) as socket:
        assert json.loads(socket.recv(timeout=SECONDS))["op"] == "welcome"
        assert socket.ping(b"are you there").wait(SECONDS), "no pong"
        socket.close(1000, "done")
    assert socket.close_code == 1000, socket.close_code


def a_websocket_from_elsewhere_is_refused(channel):
    for origin, status in (("https://evil.example", 403), ("null", 403)):
        try:
            with open_websocket(url("ws", URL.port, channel), origin=origin):
                pass
        except websockets.exceptions.InvalidStatus as refused:
            assert refused.response.status_code == status, refused
        else:
            raise AssertionError(f"origin {origin} was let in")


def raw_websockets_make_a_chat(channel):
    chat = url("ws", URL.port, channel) + "?format=raw"
    with open_websocket(chat) as ann, open_websocket(chat) as bob:
        # A message that comes back shows that its sender is subscribed.
        for socket in (ann, bob):
            socket.send("I am here")
            assert socket.recv(timeout=SECONDS) == "I am here"
        assert ann.recv(timeout=SECONDS) == "I am here"
        bob.send(b"\xff\x00")
        for socket in (ann, bob):
            heard = socket.recv(timeout=SECONDS)
            # Bob may have been subscribed before Ann spoke.
            heard = socket.recv(timeout=SECONDS) if heard == "I am here" else heard
            assert heard == b"\xff\x00", heard


def an_unknown_cursor_is_told_as_a_gap(channel):
    publish(channel, FIRST)
    for client_class in (HttpxSse, SseclientPy):
        client = client_class(URL.port, channel, "0000000000-1")
        told = [message["op"] for message in itertools.islice(client.messages, 2) if "op" in message]
        assert told == ["welcome", "gap"], told
        client.close()


ALL_WAYS = [
    WebsocketsLibrary,
    HttpxSse,
    RequestsLongPoll,
    WebsocketClientLibrary,
    SseclientPy,
    RequestsNdjson,
]
STREAMS = [way for way in ALL_WAYS if way is not RequestsLongPoll]

CHECKS = [
    *map(begins_live, STREAMS),
    *map(resumes, ALL_WAYS),
    every_way_shows_the_same_events,
    the_way_changes_in_mid_course,
    a_websocket_publishes_and_hears_itself,
    a_websocket_without_channels_subscribes_and_leaves,
    a_websocket_that_subscribes_with_a_cursor_is_replayed_to,
    a_websocket_is_pinged_closed_and_answered,
    a_websocket_from_elsewhere_is_refused,
    raw_websockets_make_a_chat,
    an_unknown_cursor_is_told_as_a_gap,
]


# --- what the checks are made of ---


def url(scheme, port, channel, cursor=None):
    return f"{scheme}://127.0.0.1:{port}/{channel}" + (f"?after={cursor}" if cursor else "")


def open_websocket(url, **options):
    return websockets.sync.client.connect(
        url, open_timeout=SECONDS, close_timeout=SECONDS, **options
    )


def last_event_id(cursor):
    return {"Last-Event-ID": cursor} if cursor else {}


def head(channel):
    """The cursor of now."""
    answer = requests.get(url("http", URL.port, channel), params={"after": "now"}, timeout=SECONDS)
    answer.raise_for_status()
    return answer.json()["cursor"]


def publish(channel, numbers):
    """Publishes the numbers, each with a request of its own, over one kept connection."""
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=SECONDS)
    for number in numbers:
        body = json.dumps({"n": number})
        connection.request("POST", "/" + channel, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 201, (answer.status, answer.read())
        answer.read()
    connection.close()


def take(client, count):
    """The next events; control messages other than a gap are passed over."""
    events = []
    for message in client.messages:
        assert message.get("op") not in ("gap", "bye", "error"), message
        if "op" not in message:
            events.append(message)
        if len(events) == count:
            return events
    raise AssertionError(f"the connection ended after {len(events)} of {count} events")


def expect_the_end(client):
    """The client notices that its connection is gone, and has no event left."""
    if isinstance(client, RequestsLongPoll):
        return
    rest = [message for message in client.messages if "op" not in message]
    assert rest == [], rest


def expect_in_order(events, numbers):
    assert [event["data"]["n"] for event in events] == list(numbers), events
    places = [int(event["id"].rpartition("-")[2]) for event in events]
    assert places == sorted(set(places)), places


if __name__ == "__main__":
    sys.exit(main())
