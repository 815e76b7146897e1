// 500 events in order, none lost and none twice: by the client module on each way and by what browsers have
// themselves, through networks and restarts that cut, hold back and swallow.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, quit, spectator } from "./support/browser.mjs";
import { Proxy } from "./support/proxy.mjs";
import { Server } from "./support/server.mjs";

const COUNT = 500;
const PORTION = 25;
const WAYS = ["websocket", "sse", "long-poll", "poll"];
const OPTIONS = { pollInterval: 100, timeout: 1_000 };
/** What a browser has itself is not told here how to poll. */
const NATIVE = ["eventsource", "websocket"];

before(launch);
after(quit);

/** Everybody follows /count, each by a way of its own, and is there before the first event. */
async function everybody(watcher, place, numbers) {
  const names = [];
  for (const way of WAYS) {
    names.push(`client by ${way}`);
    await watcher.follow(names.at(-1), "client", place, "/count", { ...OPTIONS, transports: [way] });
  }
  names.push("client by itself");
  await watcher.follow(names.at(-1), "client", place, "/count", OPTIONS);
  for (const way of NATIVE) {
    names.push(`native ${way}`);
    await watcher.follow(names.at(-1), way, place, "/count");
  }
  // Who has no cursor yet when it is cut off has missed nothing: a first event gives one to all.
  await watcher.until(names, "seen.opened > 0");
  return names;
}

/** Publishes the rest of the count, never far ahead of those who follow, so that faults fall in between. */
async function count(server, watcher, names, from, to) {
  for (let published = from; published < to; published += PORTION) {
    await server.count("count", PORTION);
    await watcher.until(names, `seen.values.length >= ${published}`);
  }
}

async function expectAll(watcher, names) {
  await watcher.until(names, `seen.values.length >= ${COUNT}`);
  const expected = Array.from({ length: COUNT }, (_, number) => String(number));
  for (const name of names) {
    const { values, gaps } = await watcher.seen(name);
    assert.deepEqual(values, expected, name);
    assert.deepEqual(gaps, [], name);
  }
  watcher.expectQuiet();
}

async function follow(t, faults, options = {}, environment = {}) {
  const server = await Server.start(t, environment);
  const proxy = await Proxy.start(t, server, faults);
  const watcher = await spectator(t);
  await watcher.follow("one", "client", proxy, "/count", { ...OPTIONS, ...options });
  return { server, proxy, watcher };
}

test("nothing is lost where connections are cut every few hundred milliseconds", async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server);
  const watcher = await spectator(t);
  const names = await everybody(watcher, proxy);
  // A native EventSource that has not heard of a place begins with now, wherever that is by then.
  await count(server, watcher, names, 0, PORTION);
  proxy.faults = { lifetime: 400 };
  proxy.cut();
  await count(server, watcher, names, PORTION, COUNT / 2);
  for (const name of names.filter((name) => !name.includes("poll"))) {
    assert.ok((await watcher.seen(name)).opened > 2, `${name} was cut`);
  }
  // A poll is short, and likely to fall between two cuts.
  proxy.faults = { breaksOff: true };
  proxy.cut();
  await count(server, watcher, names, COUNT / 2, COUNT);
  await expectAll(watcher, names);
  for (const name of names.filter((name) => name.includes("poll"))) {
    assert.ok((await watcher.seen(name)).opened > 1, `${name} was cut`);
  }
});

for (const signal of ["SIGKILL", "SIGTERM"]) {
  test(`nothing is lost when a server that keeps events on disk ends by ${signal} in mid-stream`, async (t) => {
    const server = await Server.start(t);
    const watcher = await spectator(t);
    const names = await everybody(watcher, server);
    await server.count("count", COUNT / 2);
    await server.stop(signal);
    await server.start();
    await server.count("count", COUNT / 2);
    await expectAll(watcher, names);
  });
}

test("a server that forgot everything tells a gap, and delivery goes on", async (t) => {
  const server = await Server.start(t, { FOURCAST_JOURNAL__KIND: "memory" });
  const watcher = await spectator(t);
  for (const way of WAYS) {
    await watcher.follow(way, "client", server, "/count", { ...OPTIONS, transports: [way] });
  }
  await watcher.until(WAYS, "seen.opened === 1");
  await server.count("count", 3);
  await watcher.until(WAYS, "seen.values.length === 3");
  const before = await watcher.seen("sse");
  await server.stop("SIGKILL");
  await server.start();
  await watcher.until(WAYS, "seen.gaps.length === 1");
  await server.count("count", 3);
  await watcher.until(WAYS, "seen.values.length === 6");
  for (const way of WAYS) {
    const { gaps, values } = await watcher.seen(way);
    assert.deepEqual(values, ["0", "1", "2", "3", "4", "5"], way);
    assert.equal(gaps.length, 1, way);
    assert.equal(gaps[0].reason, "epoch", way);
    assert.equal(gaps[0].from, before.lastEventId, way);
  }
  watcher.expectQuiet();
});

test("where a proxy refuses upgrades, the client goes by Server-Sent Events, and begins with them next time", async (t) => {
  const { server, proxy, watcher } = await follow(t, { refusesUpgrades: true });
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).transport, "sse");
  await count(server, watcher, ["one"], 0, COUNT);
  await expectAll(watcher, ["one"]);
  assert.equal(proxy.upgrades, 1);

  await watcher.page.reload();
  await watcher.follow("another", "client", proxy, "/count", OPTIONS);
  await watcher.until("another", "seen.opened === 1");
  assert.equal((await watcher.seen("another")).transport, "sse");
  assert.equal(proxy.upgrades, 1, "it was remembered");
});

test("the best way is tried again when it has been left alone for long enough", async (t) => {
  const { server, proxy, watcher } = await follow(t, { refusesUpgrades: true });
  await watcher.until("one", "seen.opened === 1");
  proxy.faults = {};
  await watcher.page.evaluate(() => {
    const now = Date.now();
    Date.now = () => now + 3_600_000;
  });
  await watcher.until("one", 'seen.transport === "websocket"');
  await count(server, watcher, ["one"], 0, COUNT);
  await expectAll(watcher, ["one"]);
});

test("where a proxy holds streams back as well, it goes by long polls", async (t) => {
  const { server, watcher } = await follow(t, { refusesUpgrades: true, buffers: true });
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).transport, "long-poll");
  await count(server, watcher, ["one"], 0, COUNT);
  await expectAll(watcher, ["one"]);
});

const CLOSE = "Content-Length: 4\r\nConnection: close\r\n\r\nno\r\n";
for (const [what, answer] of [
  ["resets them", ""],
  ["answers 502", `HTTP/1.1 502 Bad Gateway\r\n${CLOSE}`],
  ["answers 403 by itself", `HTTP/1.1 403 Forbidden\r\nAccess-Control-Allow-Origin: *\r\n${CLOSE}`],
  ["answers with a page", `HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/html\r\n${CLOSE}`],
]) {
  test(`where a proxy refuses upgrades, and streams as well, it goes by long polls: it ${what}`, async (t) => {
    const { server, watcher } = await follow(t, { refusesUpgrades: true, answersStreams: answer });
    await watcher.until("one", "seen.opened === 1");
    const { transport, states } = await watcher.seen("one");
    assert.deepEqual([transport, states], ["long-poll", ["open 1"]]);
    await server.count("count", PORTION);
    await watcher.until("one", `seen.values.length === ${PORTION}`);
  });
}

test("where a WebSocket opens and nothing ever comes through it, it goes by Server-Sent Events", async (t) => {
  const { server, watcher } = await follow(t, { swallows: true });
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).transport, "sse");
  await count(server, watcher, ["one"], 0, COUNT);
  await expectAll(watcher, ["one"]);
});

test("where a WebSocket soon falls silent, it goes by Server-Sent Events, and nothing is lost", async (t) => {
  const { server, proxy, watcher } = await follow(t);
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).transport, "websocket");
  await server.count("count", COUNT / 2);
  await watcher.until("one", "seen.values.length > 0");
  proxy.hush();
  await watcher.until("one", 'seen.transport === "sse"');
  await server.count("count", COUNT / 2);
  await expectAll(watcher, ["one"]);
  assert.deepEqual((await watcher.seen("one")).states, ["open 1", "error 0", "open 1"]);
});

test("a WebSocket that held for long and falls silent was not swallowed by a proxy: it is tried again", async (t) => {
  const { server, proxy, watcher } = await follow(t);
  await watcher.until("one", "seen.opened === 1");
  await watcher.page.evaluate(() => {
    const now = Date.now();
    Date.now = () => now + 3_600_000;
  });
  proxy.hush();
  await server.count("count", COUNT / 2);
  await watcher.until("one", "seen.opened === 2");
  assert.equal((await watcher.seen("one")).transport, "websocket");
  await server.count("count", COUNT / 2);
  await expectAll(watcher, ["one"]);
});

test("what one choice of ways fell to says nothing of another", async (t) => {
  const { proxy, watcher } = await follow(t, { buffers: true }, { transports: ["sse", "long-poll"] });
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).transport, "long-poll");
  await watcher.follow("another", "client", proxy, "/count", OPTIONS);
  await watcher.until("another", "seen.opened === 1");
  assert.equal((await watcher.seen("another")).transport, "websocket");
});

test("a page without WebSocket and EventSource follows all the same", async (t) => {
  const server = await Server.start(t);
  const watcher = await spectator(t);
  await watcher.page.evaluate(() => {
    delete window.WebSocket;
    delete window.EventSource;
  });
  await watcher.follow("one", "client", server, "/count", OPTIONS);
  await watcher.until("one", "seen.opened === 1");
  assert.equal((await watcher.seen("one")).transport, "sse");
  await server.count("count", COUNT);
  await expectAll(watcher, ["one"]);
});
