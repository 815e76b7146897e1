// What one lane counts: events, requests, bytes and delays, and the last minute of them by the second.

const SECONDS = 60;
/** The most delays that are kept for one second. */
const DELAYS = 200;
/** What the server counts: requests, and bytes from the browser and to it. */
const MEASURED = ["requests", "received", "sent"];

export class Tally {
  events = 0;
  empty = 0;
  /** As the server counted them; undefined until it told. */
  requests = undefined;
  received = undefined;
  sent = undefined;
  /** The last minute, oldest first; the last one is under way. */
  seconds = Array.from({ length: SECONDS }, second);

  #told = { requests: 0, received: 0, sent: 0 };
  /** How many events there were when the server told last. */
  #eventsThen = 0;

  /** Adds the delay of an event, in milliseconds. */
  delayed(delay) {
    const { delays } = this.seconds.at(-1);
    if (delays.length < DELAYS) delays.push(delay);
  }

  /** Adds what is new in the totals that the server told. */
  measured(totals) {
    const now = this.seconds.at(-1);
    // A server that was restarted, or had to make room for others, counts from zero again.
    const isAnew = MEASURED.some((name) => totals[name] < this.#told[name]);
    for (const name of MEASURED) {
      const more = totals[name] - (isAnew ? 0 : this.#told[name]);
      this[name] = (this[name] ?? 0) + more;
      now[name] += more;
    }
    this.#told = totals;
    this.#eventsThen = this.events;
  }

  /** Begins the next second, or as many as passed. */
  turn(count) {
    const begun = Array.from({ length: Math.min(count, SECONDS) }, second);
    this.seconds = [...this.seconds, ...begun].slice(-SECONDS);
  }

  /** The delay that `share` of the last minute's events did not exceed; undefined without any. */
  percentile(share) {
    return percentile(this.seconds.flatMap(({ delays }) => delays), share);
  }

  /** Bytes in both directions for each event, as of when the server told; undefined without any. */
  get bytesPerEvent() {
    if (this.#eventsThen === 0) return undefined;
    return (this.sent + this.received) / this.#eventsThen;
  }
}

function second() {
  return { delays: [], requests: 0, received: 0, sent: 0 };
}

/** The nearest-rank percentile. */
export function percentile(values, share) {
  if (values.length === 0) return undefined;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
