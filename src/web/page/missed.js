// What came to the channel while one lane was away, and what of it the lane has got since.

/** The most ids that are remembered; what is beyond is counted as neither. */
const MOST = 20_000;

export class Missed {
  all = 0;
  got = 0;
  #ids = new Set();
  /** Since when it is back, by the server's clock; undefined once something newer came. */
  #back;

  /** Somebody else has got an event, or published it. */
  note(id) {
    if (this.#ids.size >= MOST || this.#ids.has(id)) return;
    this.#ids.add(id);
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

  /** Whether nothing was ever missed. */
  get isNothing() {
    return this.all === 0;
  }

  /** Whether nothing is owed any more. */
  get isSettled() {
    return this.#ids.size === 0;
  }
}
