// What handlers may do to the client that called them: follow more, leave, end it, and fail.

import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { launch, quit, spectator } from "./support/browser.mjs";
import { Proxy } from "./support/proxy.mjs";
import { Server } from "./support/server.mjs";
import { beginStream, event, refuse, stub } from "./support/stub.mjs";

const WAYS = ["websocket", "sse", "long-poll", "poll"];
const FAST = { pollInterval: 100, timeout: 1_000 };

before(launch);
after(quit);

/** A page that follows `channels` on one way of a place: a server, a proxy or a stub, whose module `server` has. */
async function follow(t, way, place, channels, options) {
  const watcher = await spectator(t);
  await watcher.follow("one", "client", place, channels, { ...FAST, transports: [way], ...options });
  return watcher;
}

/** Has a handler of its do this, each time, before what the page does by itself. */
const handle = (watcher, type, action) =>
  watcher.page.evaluate(
    ([type, action]) => window.followers.one.addEventListener(type, new Function("one", action).bind(null, window.followers.one)),
    [type, action],
  );

for (const way of ["long-poll", "poll"]) {
  test(`by ${way}: whoever follows more when it is open does so from the place at which it opened`, async (t) => {
    const server = await Server.start(t);
    const { url, requests } = await stub(t, (_, response) => {
      response.end('{"cursor":"stub-5","more":false,"events":[]}');
    });
    const watcher = await spectator(t);
    await watcher.page.evaluate(
      async ([url, home, options]) => {
        const { default: Fourcast } = await import(`${home}/-/client.js`);
        const one = (window.followers.one = new Fourcast(`${url}/stub`, options));
        one.onopen = () => one.subscribe("x");
      },
      [url, server.url, { ...FAST, transports: [way] }],
    );
    await watcher.until("one", 'seen.url.includes("x")');
    assert.deepEqual(
      requests.slice(0, 3).map(({ url }) => url),
      ["/stub?after=now", "/stub?after=stub-5", "/x?after=stub-5"],
    );
    watcher.expectQuiet();
  });
}

test("whoever follows more before a gap was told is told it all the same", async (t) => {
  const server = await Server.start(t);
  const { url, requests } = await stub(t, ({ headers }, response, number) => {
    if (headers.accept !== "text/event-stream") return response.end('{"cursor":"stub-9","more":false,"events":[]}');
    beginStream(response, { cursor: number === 1 ? "stub-3" : "another-0" });
    if (number === 1) response.end();
  });
  const watcher = await follow(t, "sse", { url, server }, "/stub");
  await watcher.until("one", "seen.errors.length === 1");
  await handle(watcher, "open", 'one.subscribe("x")');
  await watcher.until("one", 'seen.url.includes("x")');
  assert.deepEqual(
    requests.slice(0, 3).map(({ url }) => url),
    ["/stub?after=now", "/stub?after=stub-3", "/stub?after=stub-3"],
  );
  watcher.expectQuiet();
});

test("a cursor that was given is kept until there is a newer one", async (t) => {
  const server = await Server.start(t);
  const { url } = await stub(t, (_, response) => beginStream(response));
  const watcher = await follow(t, "sse", { url, server }, "/stub", { after: "kept-7" });
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).lastEventId, "kept-7");
});

test("to follow more or fewer while it stays away brings no request ahead of its time", async (t) => {
  const server = await Server.start(t);
  const { url, requests } = await stub(t, (_, response) =>
    refuse(response, 503, { code: "overloaded", retry: true, headers: { "Retry-After": "1" } }),
  );
  const watcher = await follow(t, "sse", { url, server }, "/stub");
  await handle(watcher, "error", 'one.subscribe("x"); one.unsubscribe("x"); one.subscribe("y")');
  await watcher.until("one", "seen.errors.length === 3");
  const times = requests.map(({ at }) => at);
  for (const [index, time] of times.slice(1).entries()) assert.ok(time - times[index] >= 1_000, `${times}`);
});

for (const way of WAYS) {
  test(`by ${way}: what is asked for twice is followed once, and what is followed is not asked for again`, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server);
    const watcher = await follow(t, way, proxy, "/a,a");
    await watcher.until("one", "seen.opened === 1");
    await watcher.page.evaluate(() => {
      for (let count = 0; count < 10; count += 1) window.followers.one.subscribe(["b", "not//good", "b"]);
    });
    await watcher.until("one", 'seen.url.endsWith("/a,b") && seen.errors.length > 0');
    // Whatever it asks for b was asked by then.
    await server.publish("b", "begin");
    await watcher.until("one", "seen.values.length === 1");
    const streams = proxy.requests.length;
    await watcher.call("one", "subscribe", "a,b", { after: "earliest" });
    await server.publish("a", "end");
    await watcher.until("one", "seen.values.length === 2");
    assert.equal((await watcher.seen("one")).errors.length, 1);
    if (!way.includes("poll")) assert.equal(proxy.requests.length, streams, "nothing was asked anew");
    watcher.expectQuiet();
  });

  test(`by ${way}: a handler may follow more and leave with every event, and nothing is lost or comes twice`, async (t) => {
    const server = await Server.start(t);
    const watcher = await follow(t, way, server, "/count");
    await watcher.until("one", "seen.opened === 1");
    await handle(watcher, "message", 'const n = one.n = (one.n ?? 0) + 1; one.subscribe(`x/${n}`); one.unsubscribe(`x/${n - 1}`)');
    await server.count("count", 60);
    await watcher.until("one", "seen.values.length >= 60");
    await watcher.until("one", 'seen.url.endsWith("/count,x/60")');
    await server.publish("x/60", "end");
    await watcher.until("one", 'seen.values.includes("end")');
    const { values, errors } = await watcher.seen("one");
    assert.deepEqual(values, [...Array.from({ length: 60 }, (_, number) => String(number)), "end"]);
    assert.deepEqual(errors, []);
    watcher.expectQuiet();
  });

  for (const type of ["open", "message", "error"]) {
    test(`by ${way}: whoever ends it in ${type} hears nothing any more`, async (t) => {
      const server = await Server.start(t);
      const proxy = await Proxy.start(t, server);
      const watcher = await follow(t, way, proxy, "/a");
      await watcher.follow("other", "client", server, "/a", FAST);
      await watcher.until(["one", "other"], "seen.opened === 1");
      await handle(watcher, type, "one.close()");
      await server.stop("SIGKILL");
      await watcher.until(["one", "other"], "seen.errors.length > 0");
      await server.start();
      await watcher.until("other", "seen.opened === 2");
      // Both come in one piece, or in one answer.
      const line = '{"data":"first"}\n{"data":"second"}';
      await server.publish("a", line, { headers: { "Content-Type": "application/x-ndjson" } });
      await watcher.until("one", "seen.readyState === 2");
      const [{ states, values }, requests] = [await watcher.seen("one"), proxy.requests.length];
      await server.publish("a", "third");
      await watcher.until("other", 'seen.values.includes("third")');
      const later = await watcher.seen("one");
      assert.deepEqual([later.states, later.values], [states, values]);
      assert.equal(later.values.length, type === "message" ? 1 : 0);
      assert.equal(proxy.requests.length, requests);
    });
  }
}

test("by WebSocket: who leaves a busy channel and joins it again gets all that was asked for", async (t) => {
  const server = await Server.start(t);
  const watcher = await follow(t, "websocket", server, ["/a", "alerts"]);
  await watcher.until("one", "seen.opened === 1");
  await server.publish("a", "1");
  await watcher.until("one", "seen.values.length === 1");
  await watcher.page.evaluate(() => {
    const { one } = window.followers;
    // Of the same connection, so that its event is under way when the channel is left.
    one.publish("2", { channel: "a" });
    one.unsubscribe("a");
    one.subscribe("a", { after: "earliest" });
  });
  await watcher.until("one", "seen.values.length === 4");
  await server.publish("a", "3");
  await watcher.until("one", 'seen.values.at(-1) === "3"');
  assert.deepEqual((await watcher.seen("one")).values, ["1", "2", "1", "2", "3"]);
  watcher.expectQuiet();
});

for (const way of WAYS) {
  test(`by ${way}: who leaves channels, one of which there cannot be, has left the others`, async (t) => {
    const server = await Server.start(t);
    const watcher = await follow(t, way, server, ["/a", "b"]);
    await watcher.until("one", "seen.opened === 1");
    await watcher.call("one", "unsubscribe", ["a", "not//good"]);
    if (way !== "websocket") await watcher.call("one", "subscribe", "c");
    if (way !== "websocket") await watcher.until("one", 'seen.url.endsWith("/b,c")');
    await watcher.call("one", "publish", "mark", { channel: "b" });
    await server.publish("a", "of the one that was left");
    await server.publish("b", "end");
    await watcher.until("one", 'seen.values.at(-1) === "end"');
    assert.deepEqual((await watcher.seen("one")).values, ["mark", "end"]);
    watcher.expectQuiet();
  });

  test(`by ${way}: a handler may leave a channel whose past it is being told`, async (t) => {
    const server = await Server.start(t);
    const watcher = await follow(t, way, server, "/a");
    await watcher.until("one", "seen.opened === 1");
    await handle(watcher, "message", 'one.unsubscribe("b")');
    await server.publish("b", "old");
    await watcher.call("one", "subscribe", "b", { after: "earliest" });
    await watcher.until("one", "seen.values.length === 1");
    // Whatever was under way when it left is over when what is asked for later is there.
    await watcher.call("one", "subscribe", "c");
    await watcher.until("one", 'seen.url.endsWith("/a,c")');
    await server.publish("b", "new");
    await server.publish("c", "end");
    await watcher.until("one", 'seen.values.at(-1) === "end"');
    assert.deepEqual((await watcher.seen("one")).values, ["old", "end"]);
    watcher.expectQuiet();
  });

  test(`by ${way}: a handler that throws harms nobody but itself`, async (t) => {
    const server = await Server.start(t);
    const watcher = await follow(t, way, server, "/count");
    for (const type of ["open", "message"]) await handle(watcher, type, 'throw new Error("a fault of the page")');
    await watcher.until("one", "seen.opened === 1");
    await server.count("count", 3);
    await watcher.until("one", "seen.values.length === 3");
    const { values, errors } = await watcher.seen("one");
    assert.deepEqual(values, ["0", "1", "2"]);
    assert.deepEqual(errors, []);
  });
}

test("by sse: nothing more is taken of a stream that was left, though it ends late", { timeout: 20_000 }, async (t) => {
  const { default: Fourcast } = await import(join(process.env.ROOT, "src/web/client.js"));
  const said = (number) => ({ id: `life-${number}`, channel: "a", type: "message", time: 1, data: number });
  const line = (message) => new TextEncoder().encode(`data: ${JSON.stringify(message)}\n\n`);
  const page = (events) => Response.json({ cursor: "life-3", more: false, events });
  let stream;
  const answers = [
    () => new Response(new ReadableStream({ start: (controller) => (stream = controller) })),
    async () => {
      // The next request is there, and the stream that was left goes on.
      stream.enqueue(line(said(3)));
      await setImmediate();
      return page([said(2), said(3)]);
    },
    () => page([]),
    (signal) => once(signal, "abort").then(() => Promise.reject(signal.reason)),
  ];
  t.mock.method(globalThis, "fetch", async (_, { signal }) => answers.shift()(signal));
  const client = new Fourcast("http://stub.test/a", { transports: ["sse"] });
  t.after(() => client.close());
  const got = [];
  client.onmessage = ({ value }) => {
    got.push(value);
    if (value === 1) client.subscribe("b");
  };
  while (!stream) await setImmediate();
  stream.enqueue(line({ op: "welcome", cursor: "life-0", heartbeat_ms: 25_000 }));
  stream.enqueue(line(said(1)));
  while (answers.length) await setImmediate();
  assert.deepEqual(got, [1, 2, 3]);
});

test("without a channel no way is remembered, since nothing has shown that it gets through", { timeout: 20_000 }, async (t) => {
  const kept = {};
  class Failing {
    constructor() {
      queueMicrotask(() => this.onclose({ code: 1006, reason: "" }));
    }
    close() {}
  }
  for (const [name, value] of Object.entries({ localStorage: kept, WebSocket: Failing })) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  const { default: Fourcast } = await import(`${join(process.env.ROOT, "src/web/client.js")}?alone`);
  const client = new Fourcast("http://stub.test/");
  t.after(() => client.close());
  await once(client, "open");
  assert.deepEqual([client.transport, kept], ["sse", {}]);
});
