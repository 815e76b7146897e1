// The live page: its four lanes hear the same, come back from whatever cut them off, count as the server counts, and
// can be used by everyone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DESKTOP, PHONE, expectAccessible, launch, quit } from "./support/browser.mjs";
import { Server } from "./support/server.mjs";
import { LANES, Tab } from "./support/tab.mjs";

const COUNT = 500;

before(launch);
after(quit);

test("four lanes hear the same 500 events in order", async (t) => {
  const tab = await Tab.open(t);
  await tab.page.evaluate(async () => {
    const { lanes } = await import("/-/page.js");
    window.heard = lanes.map((lane) => {
      const ids = [];
      const { ontake } = lane;
      lane.ontake = (event) => ontake(ids.push(event.id) && event);
      return ids;
    });
  });
  await tab.slide("#interval", 0);
  await tab.slide("#rate", 8);
  await tab.page.waitForFunction((count) => Number(document.querySelector("#acknowledged").textContent) >= count, COUNT);
  await tab.slide("#rate", 0);
  await tab.page.getByText(/✓ All four lanes have the same \d+ events, in the same order\./).waitFor();
  const answer = await fetch(`${tab.server.url}/demo/test?after=earliest&limit=1000`);
  const { events } = await answer.json();
  assert.ok(events.length >= COUNT);
  const ids = events.map(({ id }) => id);
  for (const heard of await tab.page.evaluate("window.heard")) assert.deepEqual(heard, ids);
});

for (const key of LANES) {
  test(`${key}: a lane that is dropped says what it missed, comes back and gets it`, async (t) => {
    const tab = await Tab.open(t);
    const toggle = tab.lane(key).getByRole("switch");
    const name = await toggle.getAttribute("aria-label");
    await tab.publish(3);
    await tab.has(3);
    await toggle.uncheck();
    await tab.words(key, "Dropped");
    await tab.publish(7);
    await tab.words(key, "Dropped. Missed 7 so far.");
    const events = await tab.look(({ record: { tally } }) => tally.events);
    assert.equal(events[LANES.indexOf(key)], 3);
    await toggle.check();
    await tab.words(key, "Connected. Missed 7, got 7.");
    await tab.page.getByText("✓ All four lanes have the same 10 events, in the same order.").waitFor();
    await tab.page.getByRole("status").getByText(`${name.split(":")[0]} is back: missed 7, got 7.`).waitFor();
  });
}

test("a hidden tab lets go of its connections, and catches up when it is shown", async (t) => {
  const tab = await Tab.open(t);
  await tab.slide("#interval", 0);
  const aborted = [];
  tab.page.on("requestfailed", (request) => aborted.push(request.url()));
  await tab.show(false);
  await tab.until((lanes) => lanes.every(({ state }) => state === "off"));
  const asked = await tab.requests();
  await tab.publish(5);
  // A lane that polls at this interval would have asked as often as this one.
  const other = await Tab.open(t, { of: tab.server });
  await other.slide("#interval", 0);
  await other.until((lanes) => lanes[0].record.tally.empty >= 5);
  assert.deepEqual(await tab.requests(), asked, "nobody asked while the tab was hidden");
  await other.page.context().close();
  await tab.show(true);
  await tab.has(5);
  for (const key of LANES) await tab.words(key, "Connected. Missed 5, got 5.");
  assert.ok(aborted.some((url) => url.includes("wait=")), "the long poll was aborted");
  assert.ok(aborted.some((url) => !url.includes("limit=")), "the stream was aborted");
});

test("each lane shows what the server counted for it", async (t) => {
  const tab = await Tab.open(t);
  // One after another: a long poll that is late would bring several, and cost less.
  for (let events = 1; events <= 20; events++) {
    await tab.publish(1);
    await tab.until((lanes, events) => lanes.slice(1).every(({ record: { tally } }) => tally.events === events), events);
  }
  await tab.has(20);
  for (const key of LANES) {
    await tab.until(async (lanes, key) => {
      const { token, record: { tally } } = lanes.find((lane) => lane.key === key);
      const answer = await fetch(`/-/lanes/${token}`);
      const counted = (await answer.json()).lanes[0];
      return ["requests", "received", "sent"].every((name) => counted[name] === tally[name]);
    }, key);
  }
  const [, longPoll, sse, websocket] = await tab.look(({ record: { tally, sequence } }) => {
    const answers = sequence.marks.filter(({ kind }) => kind === "events").length;
    const { requests, received, sent, empty } = tally;
    return { requests, received, sent, empty, answers };
  });
  assert.equal(longPoll.answers, 20);
  assert.equal(longPoll.requests, longPoll.answers + longPoll.empty + 1, "one waits");
  assert.equal(sse.requests, 1);
  assert.equal(websocket.requests, 1);
  assert.ok(websocket.sent < sse.sent && sse.sent < longPoll.sent && sse.received < longPoll.received);
});

test("what is published by the WebSocket goes both ways on it", async (t) => {
  const tab = await Tab.open(t);
  await tab.page.getByLabel("the WebSocket lane").check();
  await tab.page.getByRole("button", { name: "Publish", exact: true }).click();
  await tab.has(1);
  await tab.page.getByRole("button", { name: "Ping" }).click();
  await tab.page.getByText("there and back").waitFor();
  const said = await tab.look(({ record: { sequence } }) => sequence.marks.filter(({ kind }) => kind === "say"));
  const labels = new Set(said[3].map(({ label }) => label));
  assert.deepEqual(labels, new Set(["publish", "ping"]));
  await tab.page.locator("#acknowledged", { hasText: /^1$/ }).waitFor();
  await tab.lane("websocket").getByRole("switch").uncheck();
  await tab.page.getByRole("button", { name: "Publish", exact: true }).click();
  await tab.page.getByText("the WebSocket lane is not connected").waitFor();
});

test("a lane that is told of a gap says so in words", async (t) => {
  const tab = await Tab.open(t);
  await tab.publish(1);
  await tab.has(1);
  const toggle = tab.lane("sse").getByRole("switch");
  await toggle.uncheck();
  await tab.publish(2);
  assert.equal((await fetch(`${tab.server.url}/demo/test`, { method: "DELETE" })).status, 204);
  await toggle.check();
  await tab.words("sse", "Told of a gap: events were deleted.");
});

test("a channel is opened by its name, shared by its link, and refused in words", async (t) => {
  const tab = await Tab.open(t);
  const name = tab.page.getByLabel("Channel");
  await name.fill("no such/channel");
  await name.press("Enter");
  await tab.page.getByText("A channel is 1 to 8 segments").waitFor();
  await name.fill("rooms/42");
  await name.press("Enter");
  await tab.until((lanes) => lanes.every(({ channel, state }) => channel === "rooms/42" && state === "on"));
  await tab.page.waitForURL(/#rooms\/42$/);
  await tab.server.publish("rooms/42", "hello");
  await tab.has(1);
});

test("two visitors do not meet by accident", async (t) => {
  const tab = await Tab.open(t, { fragment: "" });
  await tab.page.waitForURL(/#demo\/[a-z0-9]{6}$/);
});

test("it is used by keyboard alone", async (t) => {
  const tab = await Tab.open(t);
  const { keyboard } = tab.page;
  await tab.page.getByLabel("Message").focus();
  await keyboard.press("End");
  await keyboard.type(", world");
  await keyboard.press("Enter");
  await tab.has(1);
  await tab.lane("sse").getByRole("switch").focus();
  await keyboard.press("Space");
  await tab.words("sse", "Dropped");
  await tab.page.getByLabel("Publish by itself").focus();
  await keyboard.press("ArrowRight");
  await tab.page.getByText("0.2 a second").waitFor();
  await keyboard.press("Home");
  const text = tab.lane("websocket").getByText("The same as text");
  await text.focus();
  await keyboard.press("Enter");
  await tab.lane("websocket").getByText("server sends an event: hello, world").waitFor();
});

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    test(`axe finds nothing: ${size}, ${colorScheme}`, async (t) => {
      const tab = await Tab.open(t, { colorScheme, viewport });
      await tab.publish(3);
      await tab.lane("sse").getByRole("switch").uncheck();
      await tab.lane("poll").getByText("The same as text").click();
      await tab.page.getByLabel("Channel").fill("/");
      await tab.page.getByRole("button", { name: "Open" }).click();
      await tab.words("sse", "Dropped");
      await expectAccessible(tab.page);
    });
  }
}

test("nothing is wider than a phone", async (t) => {
  const tab = await Tab.open(t, { viewport: { width: 360, height: 640 } });
  const wide = await tab.page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(wide, 360);
});

test("whoever wants no motion gets a new picture each second", async (t) => {
  const tab = await Tab.open(t, { reducedMotion: "reduce" });
  const times = await tab.page.evaluate(async () => {
    const drawn = [];
    const { clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...area) {
      if (this.canvas.matches("[data-way=poll] .picture")) drawn.push(performance.now());
      return clearRect.apply(this, area);
    };
    while (drawn.length < 3) await new Promise(requestAnimationFrame);
    return drawn;
  });
  assert.ok(times[2] - times[0] > 1500, "a picture each frame would have come sooner");
});

test("where the page is switched off there is none", async (t) => {
  const server = await Server.start(t, { FOURCAST_PAGE__ENABLED: "false" });
  for (const path of ["/", "/-/page.js", "/-/page/lane.js", "/-/lanes/0123456789abcdef"]) {
    assert.equal((await fetch(server.url + path)).status, 404, path);
  }
});
