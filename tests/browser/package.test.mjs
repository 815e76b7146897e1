// The module as a file: how large it is, and that it is the same as a package, with its types, in Node.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { PATIENCE, Server } from "./support/server.mjs";

const run = promisify(execFile);
const ROOT = process.env.ROOT;
const SOURCES = ["client.js", "client.d.ts"];
/** 6 KiB, as gzip packs it. */
const MOST_BYTES = 6 * 1024;

let project;

before(async () => {
  project = await mkdtemp(join(tmpdir(), "fourcast-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", project], {
    cwd: join(ROOT, "examples/browser/npm"),
    timeout: PATIENCE,
  });
  const [{ filename }] = [JSON.parse(stdout)].flat().flatMap((packed) => (packed.filename ? packed : Object.values(packed)));
  await writeFile(join(project, "package.json"), '{"private":true,"type":"module"}');
  const flags = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  await run("npm", ["install", ...flags, join(project, filename)], { cwd: project, timeout: PATIENCE });
});

after(() => rm(project, { recursive: true, force: true }));

test("the module is small", async () => {
  const { length } = gzipSync(await readFile(join(ROOT, "src/web/client.js")), { level: 9 });
  assert.ok(length < MOST_BYTES, `${length} bytes`);
});

test("the package is what the server serves, and of its version", async (t) => {
  const server = await Server.start(t);
  const folder = join(project, "node_modules/fourcast-client");
  for (const name of SOURCES) {
    const source = await readFile(join(ROOT, "src/web", name), "utf8");
    assert.ok((await readFile(join(folder, name), "utf8")) === source, name);
    assert.ok((await (await fetch(`${server.url}/-/${name}`)).text()) === source, name);
  }
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  assert.match(await readFile(join(ROOT, "Cargo.toml"), "utf8"), new RegExp(`^version = "${version}"$`, "m"));
});

test("its types describe it", async () => {
  await copyFile(new URL("types.ts", import.meta.url), join(project, "types.ts"));
  const tsc = join(import.meta.dirname, "node_modules/.bin/tsc");
  const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"];
  const { stdout } = await run(tsc, [...flags, "types.ts"], { cwd: project, timeout: PATIENCE }).catch((error) => error);
  assert.equal(stdout, "");
});

test("in Node it follows, publishes and ends", async (t) => {
  const server = await Server.start(t);
  const script = `
    import Fourcast from "fourcast-client";
    const follower = new Fourcast("${server.url}/node");
    follower.onopen = () => follower.publish({ from: "Node" });
    follower.onmessage = ({ value, channel }) => {
      console.log(JSON.stringify({ value, channel }));
      follower.close();
    };
  `;
  const node = ["--input-type=module", "--eval", script];
  const { stdout } = await run(process.execPath, node, { cwd: project, timeout: PATIENCE });
  assert.deepEqual(JSON.parse(stdout), { value: { from: "Node" }, channel: "node" });
});

test("in Node no timer of it is left when a handler has ended it, and no handler hears more", async (t) => {
  const server = await Server.start(t);
  const script = `
    import Fourcast from "fourcast-client";
    const turn = () => new Promise(setImmediate);
    const places = { open: "${server.url}", message: "${server.url}", error: "http://127.0.0.1:1" };
    for (const [type, place] of Object.entries(places)) {
      for (const way of ["sse", "long-poll", "poll"]) {
        const follower = new Fourcast(place + "/node", { after: "earliest", transports: [way], token: async () => undefined });
        const heard = [];
        for (const other of ["open", "message", "error"]) follower.addEventListener(other, () => heard.push(other));
        await new Promise((resolve) => {
          follower.addEventListener(type, () => (follower.close(), resolve()));
        });
        await turn();
        await turn();
        if (heard.at(-1) !== type || follower.readyState !== 2) console.log(type, way, heard);
      }
    }
    console.log(process.getActiveResourcesInfo().filter((resource) => resource === "Timeout"));
  `;
  await server.publish("node", "one");
  await server.publish("node", "two");
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { cwd: project, timeout: PATIENCE });
  assert.equal(stdout, "[]\n");
});

test("whatever a token callback rejects with is an error, and it is asked again", async (t) => {
  const server = await Server.start(t);
  const script = `
    import Fourcast from "fourcast-client";
    const reasons = [undefined, "no", Object.defineProperty({ type: "error" }, "isTrusted", { value: true, enumerable: true })];
    const token = () => (reasons.length ? Promise.reject(reasons.shift()) : undefined);
    const follower = new Fourcast("${server.url}/node", { token });
    let errors = 0;
    follower.onerror = ({ detail }) => (errors += typeof detail === "string");
    follower.onopen = () => {
      console.log(errors);
      follower.close();
    };
  `;
  const node = ["--input-type=module", "--eval", script];
  const { stdout } = await run(process.execPath, node, { cwd: project, timeout: PATIENCE });
  assert.equal(stdout, "3\n");
});

test("a redirect of what is published is an error, and not a read that passes for it", async (t) => {
  const server = await Server.start(t);
  const script = `
    import { createServer } from "node:http";
    import Fourcast from "fourcast-client";
    const moved = createServer((_, response) => response.writeHead(301, { Location: "${server.url}/node" }).end());
    await new Promise((resolve) => moved.listen(0, "127.0.0.1", resolve));
    const follower = new Fourcast("http://127.0.0.1:" + moved.address().port + "/node");
    const outcome = await follower.publish("lost", { key: "once" }).then(() => "published", () => "refused");
    console.log(outcome);
    process.exit();
  `;
  const node = ["--input-type=module", "--eval", script];
  const { stdout } = await run(process.execPath, node, { cwd: project, timeout: PATIENCE });
  assert.equal(stdout, "refused\n");
});
