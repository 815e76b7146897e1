// What the client module promises to whoever uses it, each on all ways on which it could differ.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, quit, spectator } from "./support/browser.mjs";
import { Proxy } from "./support/proxy.mjs";
import { PATIENCE, Server } from "./support/server.mjs";
import { beginStream, event, refuse, stub } from "./support/stub.mjs";

const WAYS = ["websocket", "sse", "long-poll", "poll"];
const FAST = { pollInterval: 100, timeout: 1_000 };

before(launch);
after(quit);

/** A server, and a page that follows `channels` of it on one way. */
async function follow(t, way, channels, options) {
  const server = await Server.start(t);
  const watcher = await spectator(t);
  await watcher.follow("one", "client", server, channels, { ...FAST, transports: [way], ...options });
  await watcher.until("one", "seen.opened === 1");
  return { server, watcher };
}

for (const way of WAYS) {
  test(`by ${way}: an event has what it was published with, and goes to the listeners of its type`, async (t) => {
    const { server, watcher } = await follow(t, way, "/things", { types: ["said"] });
    const json = { headers: { "Content-Type": "application/json" } };
    await server.publish("things", '{ "text": "hello" }', json);
    await server.publish("things", "hello", { type: "said" });
    await server.publish("things", "nobody listens", { type: "unheard" });
    await server.publish("things", new Uint8Array([0, 255]), { headers: { "Content-Type": "image/png" } });
    await server.publish("things", "null", json);
    await watcher.until("one", "seen.events.length === 4");
    const { events, lastEventId } = await watcher.seen("one");
    assert.deepEqual(
      events.map(({ type, data, contentType }) => [type, data, contentType]),
      [
        ["message", '{"text":"hello"}', undefined],
        ["said", "hello", undefined],
        ["message", events[2].data, "image/png"],
        ["message", "null", undefined],
      ],
    );
    const values = await watcher.page.evaluate(() => window.look("one").values.map((value) => JSON.stringify(value)));
    assert.deepEqual(values, ['{"text":"hello"}', '"hello"', '{"0":0,"1":255}', "null"]);
    for (const { id, lastEventId, channel, origin, time } of events) {
      assert.equal(id, lastEventId);
      assert.equal(channel, "things");
      assert.equal(origin, server.url);
      assert.equal(typeof time, "number");
    }
    assert.equal(lastEventId, events.at(-1).id);
    watcher.expectQuiet();
  });

  test(`by ${way}: what is published is heard as it was`, async (t) => {
    const { watcher } = await follow(t, way, "/things", { types: ["said"] });
    const receipts = await watcher.page.evaluate(async () => {
      const { one } = window.followers;
      return [
        await one.publish({ text: "hello" }),
        await one.publish("text", { type: "said", ttl: 60 }),
        await one.publish(new Date(0)),
        await one.publish(),
        await one.publish(new Uint8Array([1, 2])),
        await one.publish(new Uint8Array([1, 2]).buffer),
        await one.publish(new DataView(new ArrayBuffer(1))),
        await one.publish(new Blob(["é"], { type: "image/svg+xml" })),
        await one.publish("x".repeat(100_000)),
        await one.publish("once", { key: "the same" }),
        await one.publish("once", { key: "the same" }),
      ];
    });
    await watcher.until("one", "seen.events.length === 10");
    const { events } = await watcher.seen("one");
    assert.deepEqual(events.map(({ id }) => id), [...new Set(receipts.map(({ id }) => id))]);
    assert.ok(receipts.every(({ channel }) => channel === "things"));
    const values = await watcher.page.evaluate(() => window.look("one").values.map((value) => JSON.stringify(value)));
    assert.deepEqual(values.slice(0, 7), [
      '{"text":"hello"}',
      '"text"',
      '"1970-01-01T00:00:00.000Z"',
      "null",
      '{"0":1,"1":2}',
      '{"0":1,"1":2}',
      '{"0":0}',
    ]);
    assert.equal(events[1].type, "said");
    assert.equal(events[7].contentType, "image/svg+xml");
    assert.equal(events[8].data.length, 100_000);
    watcher.expectQuiet();
  });

  test(`by ${way}: channels join and leave, and nothing is lost or comes twice`, async (t) => {
    const { server, watcher } = await follow(t, way, ["/a", "b"]);
    for (const number of [0, 1, 2]) await server.publish("c", `old c ${number}`);
    for (const number of [0, 1, 2]) await server.publish("d", `old d ${number}`);
    await server.publish("a", "a 0");
    await server.publish("b", "b 0");
    await watcher.until("one", "seen.values.length === 2");

    await watcher.call("one", "subscribe", "/c", { after: "earliest" });
    await watcher.until("one", "seen.values.length === 5");
    await watcher.call("one", "subscribe", ["d", "e/*"]);
    await watcher.until("one", 'seen.url.includes("d")');
    for (const channel of ["a", "b", "c", "d", "e/1"]) await server.publish(channel, `${channel} 1`);
    await watcher.until("one", "seen.values.length === 10");

    // Follows /c already: that goes on as it is, and /f brings its past.
    await server.publish("f", "old f");
    await watcher.call("one", "subscribe", "/c,f", { after: "earliest" });
    await watcher.until("one", "seen.values.length === 11");

    // What a pattern brought before does not come again.
    await watcher.call("one", "subscribe", "e/1", { after: "earliest" });
    await watcher.until("one", 'seen.url.includes("e/1")');

    await watcher.call("one", "unsubscribe", "/a,c");
    await watcher.until("one", '!seen.url.includes("/a")');
    const mark = await server.publish("b", "b 2");
    await watcher.until("one", "seen.values.length === 12");
    assert.equal((await watcher.seen("one")).lastEventId, mark.id);
    await server.publish("a", "a 2");
    await server.publish("c", "c 2");
    await server.publish("b", "b 3");
    await watcher.until("one", 'seen.values.at(-1) === "b 3"');

    const { values, gaps, errors, readyState } = await watcher.seen("one");
    assert.deepEqual(values.slice(0, 2), ["a 0", "b 0"]);
    assert.deepEqual(values.slice(2, 5), ["old c 0", "old c 1", "old c 2"]);
    assert.deepEqual(values.slice(5, 10).sort(), ["a 1", "b 1", "c 1", "d 1", "e/1 1"]);
    assert.deepEqual(values.slice(10), ["old f", "b 2", "b 3"]);
    assert.deepEqual(gaps, []);
    assert.deepEqual(errors, []);
    assert.equal(readyState, 1);
    watcher.expectQuiet();
  });

  test(`by ${way}: it may begin without channels, and one that is refused leaves the others alone`, async (t) => {
    const { server, watcher } = await follow(t, way, []);
    await watcher.call("one", "subscribe", "not//good");
    await watcher.until("one", "seen.errors.length === 1");
    assert.equal((await watcher.seen("one")).errors[0].code, "bad_channel");
    await server.publish("a", "before");
    await watcher.call("one", "subscribe", "a", { after: "earliest" });
    await watcher.until("one", "seen.values.length === 1");
    await server.publish("a", "after");
    await watcher.until("one", "seen.values.length === 2");
    assert.equal((await watcher.seen("one")).readyState, 1);
    watcher.expectQuiet();
  });

  test(`by ${way}: a replay that is cut off in its middle goes on where it was`, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server);
    const watcher = await spectator(t);
    await watcher.follow("one", "client", proxy, "/a", { ...FAST, transports: [way] });
    await watcher.until("one", "seen.opened === 1");
    const lines = Array.from({ length: 1_000 }, (_, number) => JSON.stringify({ data: String(number) }));
    const headers = { "Content-Type": "application/x-ndjson" };
    for (let batch = 0; batch < 5; batch += 1) await server.publish("b", lines.join("\n"), { headers });
    // The page that follows sees to it that the cut comes while the replay does.
    proxy.faults = { limit: 200_000 };
    proxy.cut();
    await watcher.call("one", "subscribe", "b", { after: "earliest" });
    await watcher.until("one", "seen.values.length >= 1000");
    proxy.faults = {};
    proxy.cut();
    await watcher.until("one", "seen.values.length >= 5000");
    await server.publish("a", "end");
    await watcher.until("one", 'seen.values.includes("end")');
    const { values } = await watcher.seen("one");
    const expected = Array.from({ length: 5_000 }, (_, number) => String(number % 1_000));
    assert.deepEqual(values, [...expected, "end"]);
    watcher.expectQuiet();
  });

  test(`by ${way}: it begins where it is told to`, async (t) => {
    const server = await Server.start(t);
    const ids = [];
    for (const number of [0, 1, 2, 3]) ids.push((await server.publish("past", String(number))).id);
    const watcher = await spectator(t);
    const begins = [
      ["/past", { after: "earliest" }, ["0", "1", "2", "3"]],
      ["/past", { after: ids[1] }, ["2", "3"]],
      ["/past", { last: 1 }, ["3"]],
      ["/past", { since: "1h" }, ["0", "1", "2", "3"]],
      ["/past", { since: 1_000 }, ["0", "1", "2", "3"]],
      ["/past?last=3", {}, ["1", "2", "3"]],
      [`/past?lastEventId=${ids[2]}&format=raw`, {}, ["3"]],
    ];
    for (const [index, [channels, options]] of begins.entries()) {
      await watcher.follow(String(index), "client", server, channels, { ...FAST, ...options, transports: [way] });
      const { length } = begins[index][2];
      await watcher.until(String(index), `seen.values.length === ${length}`);
      assert.deepEqual((await watcher.seen(String(index))).values, begins[index][2], JSON.stringify(begins[index]));
      await watcher.call(String(index), "close");
    }
    watcher.expectQuiet();
  });

  test(`by ${way}: its life is that of an EventSource`, async (t) => {
    const server = await Server.start(t);
    const watcher = await spectator(t);
    const states = await watcher.page.evaluate(
      async ([url, way]) => {
        const { default: Fourcast } = await import(`${url}/-/client.js`);
        const follower = new Fourcast(new URL("/a", url), { transports: [way] });
        window.followers.one = follower;
        const { CONNECTING, OPEN, CLOSED } = follower;
        const states = [follower.readyState];
        await new Promise((resolve) => follower.addEventListener("open", resolve, { once: true }));
        states.push(follower.readyState, follower.url === `${url}/a`, follower.withCredentials, follower.transport);
        states.push([CONNECTING, OPEN, CLOSED], [Fourcast.CONNECTING, Fourcast.OPEN, Fourcast.CLOSED]);
        return states;
      },
      [server.url, way],
    );
    assert.deepEqual(states, [0, 1, true, false, way, [0, 1, 2], [0, 1, 2]]);
    const lost = watcher.page.evaluate(
      () =>
        new Promise((resolve) => {
          window.followers.one.onerror = ({ target }) => resolve(target.readyState);
        }),
    );
    await server.stop("SIGKILL");
    assert.equal(await lost, 0, "it is coming back");
    const found = watcher.page.evaluate(
      () =>
        new Promise((resolve) => {
          window.followers.one.onopen = ({ target }) => resolve(target.readyState);
        }),
    );
    await server.start();
    assert.equal(await found, 1);
    const heard = await watcher.page.evaluate(async () => {
      const { one } = window.followers;
      let isHeard = false;
      one.onerror = one.onmessage = () => (isHeard = true);
      one.close();
      return [one.readyState, isHeard];
    });
    assert.deepEqual(heard, [2, false], "a close is no error");
    watcher.expectQuiet();
  });
}

test("what is published through a network that cuts connections is published once, in order", async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server);
  const watcher = await spectator(t);
  await watcher.follow("listener", "client", server, "/count", FAST);
  await watcher.follow("speaker", "client", proxy, "/count", FAST);
  await watcher.until(["listener", "speaker"], "seen.opened === 1");
  proxy.faults = { lifetime: 150 };
  proxy.cut();
  await watcher.page.evaluate(async () => {
    for (let number = 0; number < 200; number += 1) await window.followers.speaker.publish(String(number));
  });
  await watcher.until("listener", "seen.values.length >= 200");
  const expected = Array.from({ length: 200 }, (_, number) => String(number));
  assert.deepEqual((await watcher.seen("listener")).values, expected);
  watcher.expectQuiet();
});

test("a publication that is refused says why", async (t) => {
  const { watcher } = await follow(t, "websocket", "/a,b");
  const refusals = await watcher.page.evaluate(() => {
    const refusal = (data, options) =>
      window.followers.one.publish(data, options).catch(({ code, message, retry }) => [code, message !== "", retry]);
    const large = "x".repeat(2 ** 21);
    return Promise.all([refusal("x"), refusal("x", { channel: "a", type: "gap" }), refusal(large, { channel: "a" })]);
  });
  assert.deepEqual(refusals, [
    ["bad_channel", true, false],
    ["bad_parameter", true, false],
    ["too_large", true, false],
  ]);
  assert.equal((await watcher.seen("one")).readyState, 1);
});

test("publishing by WebSocket keeps nothing behind", async (t) => {
  const { watcher } = await follow(t, "websocket", "/a");
  const session = await watcher.page.context().newCDPSession(watcher.page);
  const functions = async () => {
    const { result: prototype } = await session.send("Runtime.evaluate", { expression: "Function.prototype" });
    const { objects } = await session.send("Runtime.queryObjects", { prototypeObjectId: prototype.objectId });
    const { result: length } = await session.send("Runtime.callFunctionOn", {
      objectId: objects.objectId,
      functionDeclaration: "function () { return this.length; }",
    });
    await session.send("Runtime.releaseObject", { objectId: objects.objectId });
    return length.value;
  };
  const before = await functions();
  await watcher.page.evaluate(async () => {
    for (let number = 0; number < 200; number += 1) await window.followers.one.publish("x");
  });
  const after = await functions();
  assert.ok(after - before < 100, `${before} functions before, ${after} after`);
});

test("cookies go to a server of another origin that lists the page's", async (t) => {
  const watcher = await spectator(t);
  const { origin } = new URL(watcher.page.url());
  const server = await Server.start(t, { FOURCAST_ORIGINS: origin });
  for (const way of WAYS) {
    await watcher.follow(way, "client", server, "/a", { ...FAST, transports: [way], withCredentials: true });
    await watcher.until(way, "seen.opened === 1");
    await watcher.call(way, "publish", new Uint8Array(1));
    await watcher.until(way, "seen.values.length === 1");
    await watcher.call(way, "close");
  }
  watcher.expectQuiet();
});

test("a pattern that joins brings the past of channels that nobody heard, and not of others", async (t) => {
  const { server, watcher } = await follow(t, "websocket", ["/keep", "rooms/1"]);
  await server.publish("rooms/2", "old");
  await server.publish("rooms/1", "heard");
  await watcher.until("one", "seen.values.length === 1");
  await watcher.call("one", "subscribe", "rooms/*", { after: "earliest" });
  await watcher.until("one", 'seen.url.endsWith("rooms/*")');
  await server.publish("keep", "end");
  await watcher.until("one", 'seen.values.at(-1) === "end"');
  assert.deepEqual((await watcher.seen("one")).values, ["heard", "old", "end"]);
});

test("no request waits for another of its URL, as those do that a cache may answer", { timeout: PATIENCE }, async (t) => {
  const server = await Server.start(t);
  const ways = ["sse", "long-poll", "poll"];
  let all;
  const asked = new Promise((resolve) => (all = resolve));
  const { url, requests } = await stub(t, (_, response, number) => {
    beginStream(response);
    if (number === ways.length) all();
  });
  const watcher = await spectator(t);
  for (const way of ways) await watcher.follow(way, "client", { url, server }, "/stub", { ...FAST, transports: [way] });
  await asked;
  for (const { method, headers } of requests) assert.equal(headers["cache-control"], "no-cache", method);
});

test("a number is as JavaScript reads it", async (t) => {
  const { server, watcher } = await follow(t, "sse", "/a");
  await server.publish("a", "[12345678901234567890, 1.0]", { headers: { "Content-Type": "application/json" } });
  await watcher.until("one", "seen.values.length === 1");
  assert.equal((await watcher.seen("one")).events[0].data, "[12345678901234567000,1]");
});

test("a refusal for good ends it, and says why", async (t) => {
  const server = await Server.start(t);
  const watcher = await spectator(t);
  for (const [name, transports] of [
    ["auto", WAYS],
    ["long-poll", ["long-poll"]],
  ]) {
    await watcher.follow(name, "client", server, "/not//good", { ...FAST, transports });
    await watcher.until(name, "seen.readyState === 2");
    const { errors, states } = await watcher.seen(name);
    assert.deepEqual(states, ["error 2"]);
    assert.equal(errors[0].status, 400);
    assert.equal(errors[0].code, "bad_channel");
    assert.notEqual(errors[0].detail, "");
  }
  watcher.expectQuiet();
});

/** Runs in a page of another origin: `act(Fourcast, url, way)`, for each way. */
async function onEachWay(t, server, act) {
  const watcher = await spectator(t);
  const outcomes = {};
  for (const way of WAYS) {
    outcomes[way] = await watcher.page.evaluate(
      async ([act, home, url, way]) => {
        const { default: Fourcast } = await import(`${home}/-/client.js`);
        window.next = (one, type) => new Promise((resolve) => one.addEventListener(type, resolve, { once: true }));
        return new Function(`return ${act}`)()(Fourcast, url, way);
      },
      [String(act), server.url, server.url, way],
    );
  }
  watcher.expectQuiet();
  return outcomes;
}

test("a name that is no channel is refused on whichever way, and leads to no other channel", { timeout: PATIENCE }, async (t) => {
  const server = await Server.start(t);
  const outcomes = await onEachWay(t, server, async (Fourcast, url, way) => {
    const one = new Fourcast(`${url}/a`, { transports: [way], pollInterval: 100 });
    await next(one, "open");
    const seen = [];
    for (const channel of ["rooms/1?ttl=0", "rooms/1#2", "a b", "%2e%2e/a", "rooms/../admin", "..", "./a"]) {
      for (const data of ["short", new Uint8Array(1)]) {
        seen.push(await one.publish(data, { channel }).then(String, ({ code }) => code));
      }
      try {
        one.subscribe(channel);
        seen.push((await next(one, "error")).code);
      } catch ({ code }) {
        seen.push(code);
      }
    }
    seen.push(one.readyState);
    one.close();
    return seen;
  });
  for (const way of WAYS) assert.deepEqual(outcomes[way], [...Array(21).fill("bad_channel"), 1], way);
  assert.deepEqual((await (await fetch(`${server.url}/**`)).json()).events, []);
});

test("it follows no more channels than a URL can carry to whichever way it comes back", { timeout: PATIENCE }, async (t) => {
  const server = await Server.start(t);
  const outcomes = await onEachWay(t, server, async (Fourcast, url, way) => {
    const one = new Fourcast(`${url}/a`, { transports: [way], pollInterval: 100 });
    await next(one, "open");
    const names = Array.from({ length: 90 }, (_, number) => `${"x".repeat(62)}${number}`);
    one.subscribe(names);
    const thrown = [];
    for (const more of [names.map((name) => `${name}/more`), "y".repeat(250)]) {
      try {
        one.subscribe(more);
      } catch ({ code, retry }) {
        thrown.push([code, retry]);
      }
    }
    while (one.url.split(",").length < 91) await new Promise((resolve) => setTimeout(resolve, 10));
    // Comes back with all of them, on a way that has them in its URL.
    const other = new Fourcast(one.url, { transports: [way], pollInterval: 100 });
    await next(other, "open");
    const seen = [thrown, one.readyState];
    one.close();
    other.close();
    return seen;
  });
  for (const way of WAYS) assert.deepEqual(outcomes[way], [Array(2).fill(["bad_channel", false]), 1], way);
});

test("what is published is published though the page ends the client at once, and needs a channel", { timeout: PATIENCE }, async (t) => {
  const server = await Server.start(t);
  const outcomes = await onEachWay(t, server, async (Fourcast, url, way) => {
    const one = new Fourcast(`${url}/last`, { transports: [way], pollInterval: 100 });
    await next(one, "open");
    const none = await new Fourcast().publish(way).catch(({ message, retry }) => [message, retry]);
    const data = { way };
    const publication = one.publish(data);
    data.way = "changed later";
    one.close();
    return [none, (await publication).channel];
  });
  for (const way of WAYS) assert.deepEqual(outcomes[way], [["no channel", false], "last"], way);
  const { events } = await (await fetch(`${server.url}/last`)).json();
  assert.deepEqual(events.map(({ data }) => data.way), WAYS);
});

test("options that are undefined are those that are not there, and a URL is read as EventSource wrote it", async (t) => {
  const server = await Server.start(t);
  await server.publish("a", "old");
  const outcomes = await onEachWay(t, server, async (Fourcast, url, way) => {
    const none = new Fourcast();
    await next(none, "open");
    const options = { after: undefined, timeout: undefined, pollInterval: undefined, withCredentials: undefined, last: null };
    const one = new Fourcast(`${url}/a?after=earliest&transport=sse&wait=5&format=raw&mine=1`, { ...options, transports: [way] });
    const { value } = await next(one, "message");
    const seen = [none.url.endsWith("/"), value, one.url.split("?")[1], one.withCredentials, new Fourcast("/a", { transports: undefined }).transport];
    none.close();
    one.close();
    return seen;
  });
  for (const way of WAYS) assert.deepEqual(outcomes[way], [true, "old", "mine=1", false, "websocket"], way);
});

test("there is no Fourcast without a place to go to", async (t) => {
  const server = await Server.start(t);
  const watcher = await spectator(t);
  const thrown = await watcher.page.evaluate(async (url) => {
    const { default: Fourcast } = await import(`${url}/-/client.js`);
    try {
      new Fourcast("http://:80:80/");
    } catch (error) {
      return error.name;
    }
  }, server.url);
  assert.equal(thrown, "TypeError");
});

test("a token is asked for again when it was refused, and goes where each way can carry it", async (t) => {
  const server = await Server.start(t);
  const { url, requests } = await stub(t, (request, response) => {
    if (request.headers.authorization !== "Bearer fresh") return refuse(response, 401, { code: "x", retry: false });
    beginStream(response);
    response.write(`data: ${event(1, "told")}\n\n`);
  });
  const watcher = await spectator(t);
  const tokens = ["for the socket", "stale", "for the socket again", "fresh"];
  await watcher.follow("one", "client", { url, server }, "/stub", { ...FAST, tokens });
  await watcher.until("one", "seen.values.length === 1");
  assert.deepEqual(
    requests.map(({ url, headers }) => [url, headers.authorization]),
    [
      ["/stub?after=now&access_token=for+the+socket", undefined],
      ["/stub?after=now", "Bearer stale"],
      ["/stub?after=now&access_token=for+the+socket+again", undefined],
      ["/stub?after=now", "Bearer fresh"],
    ],
  );
  watcher.expectQuiet();
});

test("a token that cannot be renewed is refused for good", async (t) => {
  const server = await Server.start(t);
  const { url } = await stub(t, (_, response) => refuse(response, 401, { code: "bad_token", retry: false }));
  const watcher = await spectator(t);
  await watcher.follow("one", "client", { url, server }, "/stub", { ...FAST, token: "the only one" });
  await watcher.until("one", "seen.readyState === 2");
  assert.equal((await watcher.seen("one")).errors.at(-1).status, 401);
});

test("a token that never comes is an error, and is asked for again", { timeout: PATIENCE }, async (t) => {
  const server = await Server.start(t);
  const watcher = await spectator(t);
  const seen = await watcher.page.evaluate(async (url) => {
    // A hundred times as fast.
    const [timeout, signal] = [window.setTimeout.bind(window), AbortSignal.timeout.bind(AbortSignal)];
    window.setTimeout = (act, milliseconds) => timeout(act, milliseconds / 100);
    AbortSignal.timeout = (milliseconds) => signal(milliseconds / 100);
    const { default: Fourcast } = await import(`${url}/-/client.js`);
    const next = (one, type) => new Promise((resolve) => one.addEventListener(type, resolve, { once: true }));
    let [isThere, asked] = [false, 0];
    // This server asks for none, and would refuse one that it does not know.
    const token = () => (++asked, isThere ? "" : new Promise(() => {}));
    const seen = {};
    for (const way of ["websocket", "sse", "long-poll", "poll"]) {
      isThere = false;
      const one = (window.followers[way] = new Fourcast(`${url}/a`, { token, transports: [way] }));
      const { code, detail } = await next(one, "error");
      const before = asked;
      const publication = one.publish("x").catch(({ name }) => name);
      // What waits for a token makes way for more channels, and for a network that is back.
      one.subscribe("b");
      window.dispatchEvent(new Event("online"));
      const failure = await publication;
      isThere = true;
      window.dispatchEvent(new Event("online"));
      await next(one, "open");
      seen[way] = [code, typeof detail, failure, asked > before + 1];
      one.close();
    }
    return seen;
  }, server.url);
  for (const way of WAYS) assert.deepEqual(seen[way], ["token", "string", "TimeoutError", true], way);
  watcher.expectQuiet();
});

test("it stays away for as long as the server says, unless the network comes back meanwhile", async (t) => {
  const server = await Server.start(t);
  const { url, requests } = await stub(t, (_, response, number) => {
    if (number === 1) return refuse(response, 503, { retry: true, headers: { "Retry-After": "1" } });
    if (number === 2) {
      beginStream(response);
      return response.end('event: bye\ndata: {"op":"bye","code":1012,"retry_ms":1500}\n\n');
    }
    if (number === 3) return refuse(response, 503, { retry: true, headers: { "Retry-After": "3600" } });
    beginStream(response);
  });
  const watcher = await spectator(t);
  await watcher.follow("one", "client", { url, server }, "/stub", { ...FAST, transports: ["sse"] });
  await watcher.until("one", "seen.errors.length === 3");
  assert.ok(requests[1].at - requests[0].at >= 1_000);
  assert.ok(requests[2].at - requests[1].at >= 1_500);
  await watcher.page.evaluate(() => window.dispatchEvent(new Event("online")));
  await watcher.until("one", "seen.opened === 2");
  watcher.expectQuiet();
});

test("a goodbye without a time to come back is for good", async (t) => {
  const server = await Server.start(t);
  const { url } = await stub(t, (_, response) => {
    beginStream(response);
    response.end('event: bye\ndata: {"op":"bye","code":4403}\n\n');
  });
  const watcher = await spectator(t);
  await watcher.follow("one", "client", { url, server }, "/stub", { ...FAST, transports: ["sse"] });
  await watcher.until("one", "seen.readyState === 2");
  assert.equal((await watcher.seen("one")).errors[0].code, 4403);
});

test("a stream that falls silent is noticed", async (t) => {
  const server = await Server.start(t);
  const { url } = await stub(t, (_, response) => beginStream(response, { heartbeat: 1_000 }));
  const watcher = await spectator(t);
  await watcher.follow("one", "client", { url, server }, "/stub", { ...FAST, transports: ["sse"] });
  await watcher.until("one", "seen.opened === 2");
});

test("an event stream is read as the standard says, wherever it is cut", async (t) => {
  const server = await Server.start(t);
  const { id: _, ...rest } = JSON.parse(event(0, "x"));
  const parts = JSON.stringify({ id: "stub-9", ...rest }).split(",");
  const text = [
    "\uFEFF: a comment\r\n",
    'event: welcome\rdata:{"op":"welcome","cursor":"stub-0","heartbeat_ms":25000}\r\n\r\n',
    `data: ${event(1, "é LF")}\n\n`,
    `data: ${event(2, "CR")}\r\r`,
    `data: ${event(3, "CRLF")}\r\n\r\n`,
    `id: 7\nfoo: bar\ndata\nretry: soon\nretry: 50\ndata:${event(4, "no space, an empty line of data before")}\n\n`,
    `${parts.map((part, index) => `data: ${part}${index + 1 < parts.length ? "," : ""}\n`).join("")}\n`,
    ": comment\n\nevent: nothing\n\n",
    `data: ${event(10, "never finished")}\n`,
  ].join("");
  const { url } = await stub(t, async (_, response, number) => {
    if (number > 1) return;
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    for (const byte of Buffer.from(text)) {
      response.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    response.end();
  });
  const watcher = await spectator(t);
  await watcher.follow("one", "client", { url, server }, "/stub", { ...FAST, timeout: 60_000, transports: ["sse"] });
  await watcher.until("one", "seen.errors.length === 1");
  const expected = ["é LF", "CR", "CRLF", "no space, an empty line of data before", "x"];
  assert.deepEqual((await watcher.seen("one")).values, expected);
});
