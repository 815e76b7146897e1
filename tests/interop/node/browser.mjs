// A real browser: a page in headless Chromium hears 100 events by its own EventSource, WebSocket and fetch, in order,
// and goes on by all three when the server is stopped and started again, without a gap: the journal is on disk.
//
//     node browser.mjs BINARY

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const MILLISECONDS = 30_000;
const COUNT = 100;
const WAYS = ["eventsource", "websocket", "longpoll"];
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const CONFIG = fileURLToPath(new URL("browser.toml", import.meta.url));
const PAGE = new URL("browser.html", import.meta.url);
const binary = process.argv[2];

// Whatever hangs in spite of the deadlines ends the run; what it started ends with it.
const started = [];
const overtime = setTimeout(() => end(new Error("not done in time")), 4 * MILLISECONDS);

async function main() {
  const journal = await mkdtemp(join(tmpdir(), "fourcast-"));
  process.once("exit", () => rmSync(journal, { recursive: true, force: true }));
  let server = await startServer("127.0.0.1:0", journal);
  const pages = await servePage();
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"],
    timeout: MILLISECONDS,
  });
  started.push(() => browser.close());
  const page = await browser.newPage();
  page.on("pageerror", end);
  await page.goto(`http://127.0.0.1:${pages}/?server=${server.address}`);

  await every(page, (way) => way.welcomed, "are welcomed");
  await publish(server.address, 0, COUNT);
  await every(page, (way) => way.numbers.length === 100, "hear every event");
  await expectInOrder(page, COUNT);
  console.log("ok      a page hears 100 events in order by all three");

  await stopServer(server);
  server = await startServer(server.address, journal);
  await publish(server.address, COUNT, 2 * COUNT);
  await every(page, (way) => way.numbers.length === 200, "hear every event after the restart");
  await expectInOrder(page, 2 * COUNT);
  await expectNoGaps(page);
  console.log("ok      a page goes on by all three across a restart, and misses nothing");
  console.log("browser: 2 passed, 0 failed");
}

/** Waits until `condition` holds for each way. */
async function every(page, condition, what) {
  const test = `Object.values(window.ways).every(${condition})`;
  await page.waitForFunction(test, null, { timeout: MILLISECONDS }).catch(async (error) => {
    const seen = await page.evaluate("JSON.stringify(window.ways)");
    throw new Error(`not all ways ${what}: ${seen}`, { cause: error });
  });
}

async function expectInOrder(page, count) {
  const expected = Array.from({ length: count }, (_, n) => n);
  const ways = await page.evaluate("window.ways");
  for (const name of WAYS) assert.deepEqual(ways[name].numbers, expected, name);
}

async function expectNoGaps(page) {
  const ways = await page.evaluate("window.ways");
  for (const name of WAYS) assert.deepEqual(ways[name].gaps, [], name);
}

/** A server on `address`, with its events in the directory `journal`; port 0 is a free one. */
async function startServer(address, journal) {
  const child = spawn(binary, ["serve", "--config", CONFIG], {
    env: { ...process.env, FOURCAST_LISTEN: address, FOURCAST_JOURNAL__PATH: journal },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(() => kill(child));
  const named = new Promise((resolve, reject) => {
    const look = (line) => {
      const found = /127\.0\.0\.1:[1-9][0-9]*/.exec(line);
      if (found) resolve(found[0]);
    };
    for (const output of [child.stdout, child.stderr]) createInterface(output).on("line", look);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server exited ${code} at its start`)));
    setTimeout(() => reject(new Error("the server named no address")), MILLISECONDS).unref();
  });
  return { child, address: await named };
}

async function stopServer({ child }) {
  const exited = once(child, "exit", { signal: AbortSignal.timeout(MILLISECONDS) });
  child.kill("SIGTERM");
  assert.equal((await exited)[0], 0, "the server's exit code");
}

/** Ends what may have ended already; when it is done, nothing is written any more. */
async function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit", { signal: AbortSignal.timeout(MILLISECONDS) });
  child.kill("SIGKILL");
  await exited;
}

/** The page comes from another port, so what it does is cross-origin. */
async function servePage() {
  const html = await readFile(PAGE);
  const pages = http.createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(html));
  pages.listen(0, "127.0.0.1");
  await once(pages, "listening");
  return pages.address().port;
}

async function publish(address, from, to) {
  for (let n = from; n < to; n += 1) {
    const headers = { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(MILLISECONDS);
    const body = JSON.stringify({ n });
    const answer = await fetch(`http://${address}/page`, { method: "POST", headers, body, signal });
    assert.equal(answer.status, 201);
    await answer.arrayBuffer();
  }
}

async function end(error) {
  clearTimeout(overtime);
  if (error) console.error(error);
  await Promise.allSettled(started.map((stop) => stop()));
  process.exit(error ? 1 : 0);
}

main().then(() => end(), end);
