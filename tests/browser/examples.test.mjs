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

for (const name of ["plain", "react", "vue"]) {
  test(`in the ${name} example one page hears another, and sees what was said before it came`, async (t) => {
    const server = await Server.start(t);
    let html = await readFile(join(EXAMPLES, name, "index.html"), "utf8");
    for (const [from, to] of Object.entries({ ...ELSEWHERE, "http://localhost:8080": server.url })) {
      html = html.replaceAll(`"${from}`, `"${to}`);
    }
    assert.ok(!html.includes('"https://'), "it asks nobody else");
    const vue = join(import.meta.dirname, "node_modules/vue/dist/");
    const site = await serve(t, { "/": html }, { "/vendor/": `${vendor}/`, "/vue/": vue, "/": `${EXAMPLES}/${name}/` });
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
}
