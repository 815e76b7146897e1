// A Chromium, and a page in it that follows channels by whatever a test names and keeps what it saw.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { PATIENCE } from "./server.mjs";

/** What a browser says by itself when a connection does not come about. */
export const NETWORK = /^(Failed to load resource|WebSocket connection to|Access to fetch|GET |EventSource)/;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"];

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

let launched;

/** The browser of all tests of a file. */
export async function launch() {
  launched = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS, timeout: PATIENCE });
}

export async function quit() {
  await launched.close();
}

/** A storage of its own for pages, with the options of a Playwright context. */
export function profile(options) {
  return launched.newContext(options);
}

/** A page of its own origin and storage. Whatever it says on the console but about the network fails its test. */
export async function open(t, url, options) {
  const context = await profile(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const said = [];
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !NETWORK.test(message.text())) said.push(message.text());
  });
  t.after(() => context.close());
  await page.goto(url);
  return {
    page,
    /** Nothing but the network was complained about. */
    expectQuiet: () => assert.deepEqual(said, []),
  };
}

/** axe-core finds nothing that would keep anyone from using the page as it is now. */
export async function expectAccessible(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
}

/** Serves files that a test made up, by path; those of `roots` from the disk. */
export async function serve(t, files, roots = {}) {
  const types = { html: "text/html", js: "text/javascript", css: "text/css" };
  const server = http.createServer(async (request, answer) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const [root, folder] = Object.entries(roots).find(([prefix]) => pathname.startsWith(prefix)) ?? [];
    const made = files[pathname];
    const text = made ?? (folder && (await readFile(folder + pathname.slice(root.length), "utf8").catch(() => undefined)));
    const type = types[pathname.split(".").at(-1)] ?? "text/html";
    answer.writeHead(text === undefined ? 404 : 200, { "Content-Type": `${type}; charset=utf-8` });
    answer.end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

const SPECTATOR = await readFile(new URL("spectator.html", import.meta.url), "utf8");

/** A page of another origin than the server's that follows what it is told to. */
export async function spectator(t) {
  const { page, expectQuiet } = await open(t, await serve(t, { "/": SPECTATOR }));
  return {
    page,
    expectQuiet,
    /** Follows channels of a server, or through a proxy, by the client module, EventSource or WebSocket. */
    follow: (name, by, { url, server }, channels, options) =>
      page.evaluate((args) => window.follow(...args), [name, by, url, server?.url ?? url, channels, options]),
    /** Calls a method of the Fourcast of that name. */
    call: (name, method, ...args) =>
      page.evaluate(([name, method, args]) => window.followers[name][method](...args), [name, method, args]),
    /** What it saw: { values, events, gaps, errors, states, opened, transport, readyState, lastEventId }. */
    seen: (name) => page.evaluate((name) => window.look(name), name),
    /** Waits until `condition`, an expression of `seen`, holds for each of those names. */
    until: async (names, condition) => {
      const test = `${JSON.stringify([names].flat())}.every((name) => ((seen) => ${condition})(window.look(name)))`;
      await page.waitForFunction(test).catch(async (error) => {
        const seen = await page.evaluate("JSON.stringify(window.summary())");
        throw new Error(`not seen: ${condition} of ${names}\n${seen}`, { cause: error });
      });
    },
  };
}
