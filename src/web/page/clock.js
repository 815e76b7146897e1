// The server's clock, as well as it can be told from here.

export class Clock {
  #offset = 0;
  #error = Infinity;

  /** The server said `time` in an exchange between `asked` and `answered`, both of performance.now(). */
  set(time, asked, answered) {
    const error = (answered - asked) / 2;
    // A clock drifts, so a good measure is not good for ever.
    this.#error *= 1.1;
    if (error > this.#error) return;
    this.#error = error;
    this.#offset = time - (performance.timeOrigin + asked + error);
  }

  /** Milliseconds since 1970 at the server. */
  now() {
    return performance.timeOrigin + performance.now() + this.#offset;
  }
}
