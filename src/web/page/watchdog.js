// Notices that nothing comes any more: a connection may be dead though nobody said so.

/** The most milliseconds until a question that is not held is answered. */
export const ANSWER = 15_000;

/** A signal that is aborted after so many milliseconds, or with `signal`. */
export function within(milliseconds, signal) {
  const timeout = AbortSignal.timeout(milliseconds);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

export class Watchdog {
  #timer;

  /** Has `act` called in so many milliseconds, unless something else is expected, or nothing, before. */
  expect(milliseconds, act) {
    this.rest();
    this.#timer = setTimeout(act, milliseconds);
  }

  /** Nothing is expected any more. */
  rest() {
    clearTimeout(this.#timer);
  }
}
