// What came to the channel while one lane was away, and what of it the lane has got since.

import { placeOf } from "./ledger.js";

/** The most ids that are remembered; what is beyond is counted as neither. */
const MOST = 20_000;

export class Missed {
  all = 0;
  got = 0;
  /** Those that the lane came past without getting them: they had ended by then, and were not owed. */
  ended = 0;
  #ids = new Set();
  /** The place of the last one. */
  #last = -Infinity;
  /** Since when it is back, by the server's clock; undefined once something newer came. */
  #back;

  /** Somebody else has got an event, or published it. */
  note(id) {
    if (this.#ids.size >= MOST || this.#ids.has(id)) return;
    this.#ids.add(id);
    this.#last = Math.max(this.#last, placeOf(id));
    this.all += 1;
  }

  /** The lane asks again, at `time` by the server's clock. */
  back(time) {
    this.#back = time;
  }

  /** The lane has got an event that the server took at `time`. */
  take(id, time) {
    if (this.#ids.delete(id)) {
      this.got += 1;
    } else if (this.#back !== undefined && time < this.#back) {
      // Nobody else was there to tell of it.
      this.all += 1;
      this.got += 1;
    } else {
      this.#back = undefined;
    }
  }

  /** The lane has got whatever it gets up to `place`. */
  pass(place) {
    if (place < this.#last) return;
    this.ended += this.#ids.size;
    this.#ids.clear();
  }

  /** Whether nothing was ever missed. */
  get isNothing() {
    return this.all === 0;
  }

  /** How many may still come. */
  get owed() {
    return this.#ids.size;
  }
}
