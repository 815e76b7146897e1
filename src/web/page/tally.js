// What one lane counts: events, requests, bytes and delays, and the last minute of them by the second.

const SECONDS = 60;
/** The most delays that are kept for one second. */
const DELAYS = 200;

export class Tally {
  events = 0;
  requests = 0;
  empty = 0;
  /** Bytes as the server counted them: from the browser, and to it. */
  received = undefined;
  sent = undefined;
  /** The last minute, oldest first; the last one is under way. */
  seconds = Array.from({ length: SECONDS }, second);

  /** Adds the delay of an event, in milliseconds. */
  delayed(delay) {
    const { delays } = this.seconds.at(-1);
    if (delays.length < DELAYS) delays.push(delay);
  }

  /** Takes over the totals that the server told. */
  measured({ received, sent }) {
    const now = this.seconds.at(-1);
    now.received += Math.max(0, received - (this.received ?? 0));
    now.sent += Math.max(0, sent - (this.sent ?? 0));
    this.received = received;
    this.sent = sent;
  }

  /** Begins the next second. */
  turn() {
    this.seconds.push(second());
    this.seconds.shift();
  }

  /** The delay that `share` of the last minute's events did not exceed; undefined without any. */
  percentile(share) {
    return percentile(this.seconds.flatMap(({ delays }) => delays), share);
  }

  /** Bytes in both directions for each event; undefined without any. */
  get bytesPerEvent() {
    if (this.events === 0 || this.sent === undefined) return undefined;
    return (this.sent + this.received) / this.events;
  }
}

function second() {
  return { delays: [], received: 0, sent: 0 };
}

/** The nearest-rank percentile. */
export function percentile(values, share) {
  if (values.length === 0) return undefined;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
