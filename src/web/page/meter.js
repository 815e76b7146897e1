// Asks the server what it counted for each lane, and what time it has.

import { pause } from "./pause.js";

/** Milliseconds between two questions. */
const INTERVAL = 1000;

export class Meter {
  #lanes;
  #clock;

  constructor(lanes, clock) {
    this.#lanes = lanes;
    this.#clock = clock;
  }

  /** Asks once a second until `signal` is aborted; `onround` is called when the figures of a second are there. */
  async run(signal, onround) {
    while (!signal.aborted) {
      // A server that cannot be asked counts nothing; the lanes tell of it.
      await this.#ask(signal).catch(() => {});
      onround();
      for (const { record } of this.#lanes) record.tally.turn();
      await pause(INTERVAL, signal);
    }
  }

  async #ask(signal) {
    if (this.#lanes.some(({ token }) => token === undefined)) return;
    const tokens = this.#lanes.map(({ token }) => token);
    const asked = performance.now();
    const response = await fetch(`/-/lanes/${tokens}`, { signal });
    if (!response.ok) return;
    const { time, lanes } = await response.json();
    this.#clock.set(time, asked, performance.now());
    for (const measured of lanes) {
      // A lane that began anew meanwhile has another token.
      this.#lanes.find(({ token }) => token === measured.lane)?.record.tally.measured(measured);
    }
  }
}
