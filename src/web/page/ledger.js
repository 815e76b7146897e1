// The events of the channel that this page knows of: what each lane is held against.

/** The most ids that are remembered. */
const MOST = 20_000;

export class Ledger {
  /** How many there are. */
  size = 0;
  #ids = new Set();
  /** The place of the newest that is no longer remembered. */
  #forgotten = -Infinity;

  /** Takes note of an event that a lane has. */
  note(id) {
    if (this.#ids.has(id) || placeOf(id) <= this.#forgotten) return;
    this.#ids.add(id);
    this.size += 1;
    if (this.#ids.size > MOST) this.#forget();
  }

  #forget() {
    const [oldest] = this.#ids;
    this.#ids.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, placeOf(oldest));
  }
}

/**
 * The place of an id or a cursor among the events of its server, which only rises but for a gap. Others than this page,
 * which comes from the server itself, compare ids for equality only.
 */
export function placeOf(id) {
  return Number(id.slice(id.lastIndexOf("-") + 1));
}
