// The examples, as they are but for the addresses in their heads: each is a chat in which one page hears another.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { launch, open, quit, serve } from "./support/browser.mjs";
import { Server } from "./support/server.mjs";

const EXAMPLES = join(process.env.ROOT, "examples/browser");
/** What the pages take from elsewhere, which is not to be asked here. */
const ELSEWHERE = {
  "https://esm.sh/react@19": "/vendor/react.js",
  "https://esm.sh/react-dom@19/client": "/vendor/react-dom.js",
  "https://unpkg.com/vue@3/dist/vue.esm-browser.prod.js": "/vue/vue.esm-browser.prod.js",
};

let vendor;

before(async () => {
  await launch();
  // React comes as CommonJS, whose names must be written out; both parts must share one React.
  vendor = await mkdtemp(join(tmpdir(), "fourcast-"));
  await build({
    entryPoints: ["react.mjs", "react-dom.mjs"].map((name) => join(import.meta.dirname, "vendor", name)),
    bundle: true,
    splitting: true,
    format: "esm",
    define: { "process.env.NODE_ENV": '"production"' },
    outdir: vendor,
    logLevel: "error",
  });
});

after(async () => {
  await quit();
  await rm(vendor, { recursive: true, force: true });
});

/** Serves an example, whose Fourcast is `server`. */
async function example(t, name, server) {
  let html = await readFile(join(EXAMPLES, name, "index.html"), "utf8");
  for (const [from, to] of Object.entries({ ...ELSEWHERE, "http://localhost:8080": server.url })) {
    html = html.replaceAll(`"${from}`, `"${to}`);
  }
  assert.ok(!html.includes('"https://'), "it asks nobody else");
  const vue = join(import.meta.dirname, "node_modules/vue/dist/");
  return serve(t, { "/": html }, { "/vendor/": `${vendor}/`, "/vue/": vue, "/": `${EXAMPLES}/${name}/` });
}

for (const name of ["plain", "react", "vue"]) {
  test(`in the ${name} example one page hears another, and sees what was said before it came`, async (t) => {
    const server = await Server.start(t);
    const site = await example(t, name, server);
    await server.publish("chat", "before");
    const [one, other] = [await open(t, site), await open(t, site)];
    for (const { page } of [one, other]) {
      await page.getByText("before", { exact: true }).waitFor();
      await page.locator("#state", { hasText: "websocket" }).waitFor();
    }
    await one.page.getByLabel("Message").fill("hello");
    await one.page.getByRole("button").click();
    for (const { page } of [one, other]) {
      await page.getByText("hello", { exact: true }).waitFor();
      assert.equal(await page.locator("#messages li").count(), 2);
    }
    await server.stop("SIGKILL");
    await other.page.locator("#state", { hasNotText: "websocket" }).waitFor();
    await server.start();
    await server.publish("chat", "again");
    await other.page.getByText("again", { exact: true }).waitFor();
    assert.deepEqual(await other.page.locator("#messages li").allTextContents(), ["before", "hello", "again"]);
    one.expectQuiet();
    other.expectQuiet();
  });

  test(`in the ${name} example anything may come, much may, and what is not sent is told`, async (t) => {
    const server = await Server.start(t);
    const json = { headers: { "Content-Type": "application/json" } };
    for (const body of ["null", "{}", '{"text":"text"}', "[1]"]) await server.publish("chat", body, json);
    await server.publish("chat", new Uint8Array([1, 255]), { headers: { "Content-Type": "image/png" } });
    const { page, expectQuiet } = await open(t, await example(t, name, server));
    const items = page.locator("#messages li");
    await items.nth(4).waitFor();
    assert.deepEqual(await items.allTextContents(), ["null", "{}", "text", "[1]", "1,255"]);

    const lines = Array.from({ length: 120 }, (_, number) => JSON.stringify({ data: `number ${number}` }));
    await server.publish("chat", lines.join("\n"), { headers: { "Content-Type": "application/x-ndjson" } });
    await page.getByText("number 119", { exact: true }).waitFor();
    assert.equal(await items.count(), 100);

    const large = "x".repeat(2 ** 21);
    await page.getByLabel("Message").fill(large);
    await page.getByRole("button").click();
    await page.getByRole("alert").filter({ hasText: "Not sent" }).waitFor();
    assert.equal((await page.getByLabel("Message").inputValue()).length, large.length);
    expectQuiet();
  });
}
