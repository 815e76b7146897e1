// What this page knows to be in the channel, in order: what each lane is held against.

/** The most ids that are remembered. */
const MOST = 20_000;

export class Ledger {
  /** From an id to its number; the order of insertion is the order of the channel. */
  #numbers = new Map();
  #next = 0;

  /** The number that follows the last event known. */
  get end() {
    return this.#next;
  }

  /** The number of an event, or undefined. */
  find(id) {
    return this.#numbers.get(id);
  }

  /** Takes note of what a lane received at `place`; the lane's next place, or undefined if another event was due. */
  take(place, id) {
    const number = this.#numbers.get(id) ?? this.#append(id);
    return number === place ? place + 1 : undefined;
  }

  #append(id) {
    const number = this.#next++;
    this.#numbers.set(id, number);
    if (this.#numbers.size > MOST) this.#numbers.delete(this.#numbers.keys().next().value);
    return number;
  }
}
