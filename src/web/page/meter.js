// Asks the server what it counted for each lane, and what time it has, and turns the seconds of the charts.

import { pause } from "./pause.js";
import { ANSWER, within } from "./watchdog.js";

/** Milliseconds between two questions, which is a column of the charts. */
const INTERVAL = 1000;

export class Meter {
  /** Called when the figures of a second are there. */
  onround = () => {};
  /** Called with a sentence when the server does not count any more, and with "" when it does. */
  onfault = () => {};

  #lanes;
  #clock;
  #turned = performance.now();
  #isRefused = false;

  constructor(lanes, clock) {
    this.#lanes = lanes;
    this.#clock = clock;
  }

  /** Asks again, should the server have said that it does not count. */
  begin() {
    this.#isRefused = false;
  }

  /** Asks once a second until `signal` is aborted. */
  async run(signal) {
    // What passed while nobody looked is part of the last minute.
    this.#turn();
    while (!signal.aborted) {
      // A server that cannot be asked counts nothing; the lanes tell of it.
      if (this.#hasReason()) await this.#ask(signal).catch(() => {});
      this.onround();
      this.#turn();
      await pause(this.#turned + INTERVAL - performance.now(), signal);
    }
  }

  /** Whether there is something to be told by a server that may be there. */
  #hasReason() {
    const isOpen = this.#lanes.every(({ token }) => token !== undefined);
    return isOpen && !this.#isRefused && this.#lanes.some(({ state }) => state !== "waiting");
  }

  #turn() {
    const passed = Math.floor((performance.now() - this.#turned) / INTERVAL);
    this.#turned += passed * INTERVAL;
    for (const { record } of this.#lanes) record.tally.turn(passed);
  }

  async #ask(signal) {
    const tokens = this.#lanes.map(({ token }) => token);
    const asked = performance.now();
    const response = await fetch(`/-/lanes/${tokens}`, { signal: within(ANSWER, signal) });
    // Its page was switched off, and with it the counting. A 404 that is no word of Fourcast's is a proxy's, and passes.
    const isWord = response.headers.get("Content-Type")?.startsWith("application/problem+json");
    this.#isRefused = response.status === 404 && isWord;
    if (this.#isRefused) this.onfault("The server does not count for this page any more: its live page is switched off.");
    if (!response.ok) return;
    const { time, lanes } = await response.json();
    this.#clock.set(time, asked, performance.now());
    for (const measured of lanes) {
      // A lane that began anew meanwhile has another token.
      this.#lanes.find(({ token }) => token === measured.lane)?.record.tally.measured(measured);
    }
    this.onfault("");
  }
}
