// The live page where something goes wrong: its server restarts, is gone or falls silent, a proxy or a visitor is in
// the way. It says what is so, and comes back by itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { expectAccessible, launch, quit } from "./support/browser.mjs";
import { Proxy } from "./support/proxy.mjs";
import { LANES, Tab } from "./support/tab.mjs";

const isOn = (lanes) => lanes.every(({ state }) => state === "on");

before(launch);
after(quit);

/** Answers as Fourcast refuses. */
function refusal(detail, retry) {
  return { status: 403, contentType: "application/problem+json", body: JSON.stringify({ detail, retry }) };
}

test("all lanes come back from a restart of the server, and what they counted goes on", async (t) => {
  const tab = await Tab.open(t, { isCutOff: true });
  await tab.publish(10);
  await tab.has(10);
  await tab.until(async (lanes) => lanes.every(({ record: { tally } }) => tally.sent > 0));
  const before = await tab.look(({ record: { tally } }) => tally.sent + tally.received);
  await tab.server.stop("SIGKILL");
  await tab.until((lanes) => lanes.every(({ state }) => state === "waiting"));
  await tab.server.start();
  await tab.until(isOn);
  await tab.publish(10);
  await tab.has(20);
  await tab.sentence("✓ All four lanes have the same 20 events, in the same order.");
  await tab.until(
    (lanes, before) => lanes.every(({ record: { tally } }, lane) => tally.sent + tally.received > before[lane]),
    before,
  );
});

test("bytes for each event are of the events that were measured", async (t) => {
  const tab = await Tab.open(t);
  const each = await tab.page.evaluate(async () => {
    const { Tally } = await import("/-/page/tally.js");
    const tally = new Tally();
    tally.events = 2;
    tally.measured({ requests: 1, received: 100, sent: 100 });
    tally.events = 50;
    const meanwhile = tally.bytesPerEvent;
    tally.measured({ requests: 1, received: 10, sent: 20 });
    return { meanwhile, sent: tally.sent, received: tally.received, requests: tally.requests };
  });
  assert.deepEqual(each, { meanwhile: 100, sent: 120, received: 110, requests: 2 });
});

test("a server that does not answer when the page loads is asked again", async (t) => {
  let asked = 0;
  let told;
  const prepare = async (context) => {
    await context.route(/after=now/, (route) => (++asked < 3 ? route.abort() : route.continue()));
    context.on("page", (page) => (told = page.getByText("The server cannot be reached; trying again.").waitFor()));
  };
  await Tab.open(t, { isCutOff: true, prepare });
  await told;
  assert.equal(asked, 3);
});

test("of two channels opened at once the later one is opened", async (t) => {
  const tab = await Tab.open(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await tab.page.route(/slow.*after=now/, async (route) => {
    await held;
    await route.continue().catch(() => {});
  });
  const isSlow = (request) => request.url().includes("slow");
  const ends = ["requestfinished", "requestfailed"].map((end) => tab.page.waitForEvent(end, isSlow));
  for (const name of ["slow", "quick"]) {
    await tab.page.getByLabel("Channel").fill(name);
    await tab.page.getByRole("button", { name: "Open" }).click();
  }
  await tab.until((lanes) => lanes.every(({ channel, state }) => channel === "quick" && state === "on"));
  release();
  await Promise.race(ends);
  await tab.server.publish("quick", "hello");
  await tab.has(1);
  assert.deepEqual(await tab.look(({ channel }) => channel), ["quick", "quick", "quick", "quick"]);
});

test("long polling is connected when the server has answered, not when it was asked", async (t) => {
  const tab = await Tab.open(t, { isCutOff: true });
  const toggle = tab.lane("long-poll").getByRole("switch");
  await toggle.uncheck();
  const announced = await tab.announcements();
  await tab.server.stop("SIGKILL");
  await toggle.check();
  await tab.words("long-poll", "The server cannot be reached; trying again");
  await tab.until((lanes) => lanes.every(({ state }) => state === "waiting"));
  // What a lane announces comes before this.
  await tab.page.getByLabel("Channel").fill("no such/channel");
  await tab.page.getByRole("button", { name: "Open" }).click();
  await tab.page.getByRole("status").getByText("A channel is 1 to 8 segments").waitFor();
  assert.ok(!(await announced()).some((text) => text.includes("is back")));
});

test("a server that has no page any more is not asked what it counted", async (t) => {
  const tab = await Tab.open(t, { isCutOff: true });
  let asked = 0;
  await tab.page.route(/-\/lanes\//, (route) => {
    asked += 1;
    return route.fulfill({ status: 404, contentType: "application/problem+json", body: `{"detail":"no page"}` });
  });
  await tab.sentence("The server does not count for this page any more");
  await tab.slide("#interval", 0);
  // As many polls as there are in two seconds.
  await tab.until((lanes) => lanes[0].record.tally.empty >= 10);
  assert.equal(asked, 1);
});

test("a connection that was open all the time stays in its picture", async (t) => {
  const tab = await Tab.open(t);
  const open = await tab.page.evaluate(async () => {
    const { Sequence } = await import("/-/page/sequence.js");
    const sequence = new Sequence();
    sequence.begin("answer");
    for (let number = 0; number < 10_000; number += 1) sequence.end(sequence.begin("held"));
    for (let number = 0; number < 10_000; number += 1) sequence.late(number - 100_000);
    return { first: sequence.spans[0].kind, isBounded: sequence.spans.length < 6_000 };
  });
  assert.deepEqual(open, { first: "answer", isBounded: true });
});

test("an event that is never stored is no fault of the lane that did not get it", async (t) => {
  const tab = await Tab.open(t);
  const toggle = tab.lane("poll").getByRole("switch");
  await toggle.uncheck();
  await tab.publish(3);
  await tab.server.publish("demo/test", "for who is there", { ttl: 0 });
  await tab.publish(3);
  await tab.words("poll", "Dropped. Missed 7 so far.");
  await toggle.check();
  await tab.words("poll", "Connected. Missed 7, got 6; 1 had ended by its ttl.");
  await tab.page.getByRole("status").getByText("Polling is back: missed 7, got 6").waitFor();
  // Neither has a long poll that was just between two questions.
  await tab.sentence(/✓ Same order so far\. Of 7 events .*Polling has 6/);
});

test("an event that comes twice or out of order is told", async (t) => {
  const tab = await Tab.open(t);
  await tab.publish(2);
  await tab.has(2);
  await tab.page.evaluate(async () => {
    const { lanes } = await import("/-/page.js");
    const { record } = lanes.find(({ key }) => key === "sse");
    const answer = await fetch("/demo/test?last=1");
    record.takes((await answer.json()).events[0]);
  });
  await tab.sentence("✕ SSE got an event twice or out of order.");
});

test("a lane whose connection brings nonsense closes it before it opens another", async (t) => {
  const closed = new Set();
  let opened = 0;
  const prepare = (context) =>
    context.routeWebSocket(/demo/, (socket) => {
      const server = socket.connectToServer();
      const number = ++opened;
      socket.onClose((code, reason) => {
        closed.add(number);
        server.close({ code, reason });
      });
      if (number === 1) socket.send("{");
    });
  // The stand-in between them complains of what it has to close.
  const tab = await Tab.open(t, { prepare, isCutOff: true });
  await tab.publish(5);
  await tab.has(5);
  assert.equal(opened, 2);
  assert.deepEqual([...closed], [1]);
});

test("a connection that is dead without a word is given up", async (t) => {
  const tab = await Tab.open(t, { isCutOff: true, through: (server) => Proxy.start(t, server) });
  tab.proxy.hush();
  await tab.publish(3);
  // A long poll is rightly silent for as long as it asked the server to hold it.
  await tab.until((lanes) => lanes.every(({ key, record: { tally } }) => key === "long-poll" || tally.events === 3));
});

test("what a proxy answers while it has no server is no refusal for good", async (t) => {
  const tab = await Tab.open(t, { isCutOff: true });
  const toggle = tab.lane("sse").getByRole("switch");
  await toggle.uncheck();
  const statuses = [404, 429];
  await tab.page.route(/demo\/test/, (route) => {
    const isStream = route.request().headers().accept === "text/event-stream";
    const status = isStream && statuses.shift();
    return status ? route.fulfill({ status, body: "no backend" }) : route.continue();
  });
  await toggle.check();
  await tab.words("sse", "trying again");
  await tab.until(isOn);
});

test("a lane that was told of a gap does not say that it missed nothing", async (t) => {
  const tab = await Tab.open(t);
  const toggle = tab.lane("poll").getByRole("switch");
  await tab.publish(1);
  await tab.has(1);
  await toggle.uncheck();
  await tab.publish(2);
  assert.equal((await fetch(`${tab.server.url}/demo/test`, { method: "DELETE" })).status, 204);
  const announced = await tab.announcements();
  await toggle.check();
  await tab.words("poll", "Told of a gap: events were deleted.");
  await tab.page.getByRole("status").getByText("Polling was told of a gap: events were deleted.").waitFor();
  assert.ok(!(await announced()).some((text) => text.includes("Polling is back")));
});

test("where there is no clipboard, what was to be copied is selected or said to be where it is", async (t) => {
  const prepare = (context) =>
    context.addInitScript(() => Object.defineProperty(Navigator.prototype, "clipboard", { get: () => undefined }));
  const tab = await Tab.open(t, { prepare });
  await tab.page.getByRole("button", { name: "Copy link" }).click();
  await tab.page.getByRole("status").getByText("The link is in the address bar.").waitFor();
  await tab.page.getByRole("button", { name: "Copy the curl line for SSE" }).click();
  await tab.page.getByRole("status").getByText("Selected, to be copied").waitFor();
  const line = await tab.lane("sse").locator("code").textContent();
  assert.equal(await tab.page.evaluate("String(getSelection())"), line);
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing on lanes in trouble: ${colorScheme}`, async (t) => {
    const tab = await Tab.open(t, { colorScheme, isCutOff: true });
    const toggles = LANES.map((key) => tab.lane(key).getByRole("switch"));
    for (const toggle of toggles) await toggle.uncheck();
    await tab.publish(2);
    await fetch(`${tab.server.url}/demo/test`, { method: "DELETE" });
    await tab.page.route(/demo\/test\?.*wait|demo\/test\?.*limit/, (route) => route.fulfill(refusal("not yours", false)));
    await toggles[1].check();
    await tab.words("long-poll", "Not yours.");
    await tab.page.route(/demo\/test\?.*limit/, (route) => route.abort());
    await toggles[0].check();
    await tab.words("poll", "trying again");
    await toggles[2].check();
    await tab.words("sse", "Told of a gap");
    await expectAccessible(tab.page);
  });
}
