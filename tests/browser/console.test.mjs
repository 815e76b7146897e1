// The operator's console: it shows what happens while it happens, asks for the key, ends a connection, and can be used
// by everyone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DESKTOP, PHONE, expectAccessible, launch, open, quit } from "./support/browser.mjs";
import { Server } from "./support/server.mjs";

const KEY = "a-key-for-these-tests-alone";

before(launch);
after(quit);

/** The console of a server in a tab of its own. */
async function openConsole(t, { key, ...options } = {}) {
  const environment = { FOURCAST_ADMIN__LISTEN: "127.0.0.1:0" };
  if (key) environment.FOURCAST_ADMIN__KEY = key;
  const server = await Server.start(t, environment);
  const { page, expectQuiet } = await open(t, `http://${server.operator}/`, { viewport: DESKTOP, ...options });
  const tile = (title) => page.locator("article").filter({ has: page.getByRole("heading", { name: title }) });
  return {
    server,
    page,
    expectQuiet,
    state: (text) => page.locator("#state", { hasText: text }).waitFor(),
    /** Waits until what a tile says, its figure or the line under it, is like `text`. */
    says: (title, part, text) => tile(title).locator(part, { hasText: text }).waitFor(),
    /** Waits until a row of the table `id` has these cells. */
    row: (id, ...cells) =>
      page.waitForFunction(
        ([id, cells]) => [...document.getElementById(id).rows].some((row) => cells.every((cell, at) => row.cells[at]?.textContent === cell)),
        [id, cells],
      ),
  };
}

/** One who hears a channel, and keeps the text of the stream; `ended` is that text once it has ended. */
async function follow(t, server, channel) {
  const leaving = new AbortController();
  t.after(() => leaving.abort());
  const answer = await fetch(`${server.url}/${channel}`, { headers: { Accept: "text/event-stream" }, signal: leaving.signal });
  const ended = answer.text();
  ended.catch(() => {});
  return { ended };
}

test("figures, channels and connections change while somebody looks", async (t) => {
  const { server, state, says, row, expectQuiet } = await openConsole(t);
  await state("Ready: it takes events");
  await says("Events in, a second", ".more", "0 in all");
  await follow(t, server, "rooms/1,alerts");
  await server.count("rooms/1", 5);
  await says("Events in, a second", ".more", "5 in all");
  await row("channels", "rooms/1");
  await row("ways", "SSE", "1");
  await server.count("rooms/1", 30);
  await says("Events in, a second", ".more", "35 in all");
  await says("Events in, a second", ".figure", /[1-9]/);
  await says("Delay until it is written", ".figure", /\d.* · \d/);
  await says("Memory", ".figure", /MiB/);
  assert.equal((await fetch(`${server.url}/rooms/1?after=nonsense`)).status, 400);
  await row("refused", "refused: bad_cursor", "1", "1");
  expectQuiet();
});

test("a list is filtered, and a filter that means nothing is refused in words", async (t) => {
  const { server, page, row, expectQuiet } = await openConsole(t);
  for (const channel of ["rooms/1", "rooms/2", "alerts"]) await server.publish(channel, "hello");
  await row("channels", "alerts");
  const filter = page.getByLabel("Channel or pattern");
  await filter.fill("rooms/*");
  await page.waitForFunction(() => document.getElementById("channels").rows.length === 2);
  await filter.fill("rooms*");
  await page.locator("#channels-form .problem", { hasText: "'match' is a channel or a pattern" }).waitFor();
  await filter.fill("nowhere");
  await page.getByText("No such channel has an event.").waitFor();
  expectQuiet();
});

test("a connection is ended, and told what the operator chose", async (t) => {
  const { server, page, row, expectQuiet } = await openConsole(t);
  const { ended } = await follow(t, server, "rooms/1");
  await page.locator("#connections-form select").selectOption("sse");
  const end = page.getByRole("button", { name: /^End connection \d+ from 127\.0\.0\.1/ });
  await end.click();
  const dialog = page.getByRole("dialog", { name: "End this connection?" });
  await dialog.getByText("SSE from 127.0.0.1").waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "hidden" });
  await server.publish("rooms/1", "still there");
  await end.click();
  await dialog.getByLabel("do not come back").check();
  await dialog.getByRole("button", { name: "End it" }).click();
  await page.getByText("Nobody like that is connected.").waitFor();
  const text = await ended;
  assert.match(text, /still there/);
  assert.match(text, /event: bye\ndata: \{"op":"bye","code":4403\}\n\n$/);
  await row("refused", "refused: removed", "1");
  expectQuiet();
});

test("the key is asked for until it is the right one, and remembered by its tab", async (t) => {
  const { page, state, expectQuiet } = await openConsole(t, { key: KEY });
  const dialog = page.getByRole("dialog", { name: "The key of this port" });
  const key = page.locator("#key");
  const show = dialog.getByRole("button", { name: "Show the console" });
  const kept = () => page.evaluate(() => Object.values(sessionStorage));
  // None that no key can be is taken, which a header could not even carry.
  for (const text of ["", "short", "with spaces in between", "ключ-от-этого-порта"]) {
    await key.fill(text);
    await show.click();
    assert.ok(await key.evaluate((input) => input.matches(":invalid")), text);
  }
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.getElementById("asking").open && document.getElementById("key").value === "");
  assert.deepEqual(await kept(), []);
  await key.fill(`${KEY}-not`);
  await show.click();
  await dialog.getByText("This key is not the one.").waitFor();
  await key.fill(` ${KEY} `);
  await key.press("Enter");
  await state("Ready: it takes events");
  assert.deepEqual(await kept(), [KEY]);
  await page.reload();
  await state("Ready: it takes events");
  assert.ok(await dialog.isHidden());
  expectQuiet();
});

test("a server that is gone is said to be, and one that is back is shown", async (t) => {
  const { server, state, says, expectQuiet } = await openConsole(t);
  await server.publish("rooms/1", "before");
  await says("Events in, a second", ".more", "1 in all");
  await server.stop("SIGTERM");
  await state("No answer from the server");
  await server.start();
  await state("Ready: it takes events");
  await says("Events in, a second", ".more", "0 in all");
  await says("Journal: kept", ".more", "1 events");
  expectQuiet();
});

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    test(`axe finds nothing: ${size}, ${colorScheme}`, async (t) => {
      const { server, page, row, expectQuiet } = await openConsole(t, { key: KEY, colorScheme, viewport });
      const key = page.locator("#key");
      await key.fill("not-the-key-of-this-port");
      await key.press("Enter");
      await page.getByText("This key is not the one.").waitFor();
      await expectAccessible(page);
      await key.fill(KEY);
      await key.press("Enter");
      await follow(t, server, "rooms/1");
      await server.count("rooms/1", 3);
      await fetch(`${server.url}/rooms/1?after=nonsense`);
      await row("channels", "rooms/1");
      await row("refused", "refused: bad_cursor");
      await page.getByLabel("Channel or pattern").fill("a*b");
      await page.getByText("'match' is a channel or a pattern").waitFor();
      await expectAccessible(page);
      await page.getByRole("button", { name: /^End connection/ }).first().click();
      await expectAccessible(page);
      expectQuiet();
    });
  }
}

test("nothing is wider than a phone", async (t) => {
  const { server, page, row } = await openConsole(t, { viewport: { width: 360, height: 640 } });
  await follow(t, server, "a/long/name/of/a/channel/that/is-no-exception");
  await server.publish("a/long/name/of/a/channel/that/is-no-exception", "hello");
  await row("channels", "a/long/name/of/a/channel/that/is-no-exception");
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
});
