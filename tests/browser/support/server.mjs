// A Fourcast of a test's own, with its events in a directory that goes with it, and who publishes to it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The most that anything may take, in milliseconds. */
export const PATIENCE = 60_000;
const CONFIG = fileURLToPath(new URL("../config.toml", import.meta.url));

export class Server {
  #child;
  #journal;
  #environment;
  #published = 0;
  address = "127.0.0.1:0";
  /** Where its operator's port is; undefined while there is none. */
  operator;

  /** Starts one; `t` is the test, with which it ends. `environment` is more of its configuration. */
  static async start(t, environment = {}) {
    const server = new Server();
    server.#journal = await mkdtemp(join(tmpdir(), "fourcast-"));
    server.#environment = environment;
    t.after(async () => {
      await server.stop("SIGKILL");
      await rm(server.#journal, { recursive: true, force: true });
    });
    await server.start();
    return server;
  }

  get url() {
    return `http://${this.address}`;
  }

  /** Starts it where it was before, with what it had kept. */
  async start() {
    const environment = { FOURCAST_LISTEN: this.address, FOURCAST_JOURNAL__PATH: this.#journal, ...this.#environment };
    if (this.operator) environment.FOURCAST_ADMIN__LISTEN = this.operator;
    this.#child = spawn(process.env.FOURCAST, ["serve", "--config", CONFIG], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    ({ address: this.address, operator: this.operator } = await this.#named(this.#child));
  }

  /** The addresses that it names; the operator's comes last. */
  async #named(child) {
    const said = [];
    const named = {};
    return new Promise((resolve, reject) => {
      for (const output of [child.stdout, child.stderr]) {
        createInterface(output).on("line", (line) => {
          said.push(line);
          const [, name, address] = /^(address|operator) +(127\.0\.0\.1:[1-9][0-9]*)?/.exec(line) ?? [];
          if (name) named[name] = address;
          if (name === "operator") resolve(named);
        });
      }
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the server exited ${code}: ${said.join("\n")}`)));
    });
  }

  /** Ends it by a signal, and waits until it has ended. */
  async stop(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit", { signal: AbortSignal.timeout(PATIENCE) });
    child.kill(signal);
    await exited;
  }

  async publish(channel, body, { type, ttl, headers } = {}) {
    const given = Object.entries({ type, ttl }).filter(([, value]) => value !== undefined);
    const query = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
    const signal = AbortSignal.timeout(PATIENCE);
    const answer = await fetch(`${this.url}/${channel}${query}`, { method: "POST", body, headers, signal });
    assert.equal(answer.status, 201, await answer.clone().text());
    return answer.json();
  }

  /** Publishes the next `count` numbers of a channel, each in an event of its own. */
  async count(channel, count) {
    for (const end = this.#published + count; this.#published < end; this.#published += 1) {
      await this.publish(channel, String(this.#published));
    }
  }
}
