// What happened, for who listens to the page: a live region that does not chatter.

/** Milliseconds between two announcements; what comes in between is told together. */
const INTERVAL = 1500;
/** The most sentences that are told together. */
const MOST = 4;

export class News {
  #region;
  #due = [];
  #timer;

  constructor(region) {
    this.#region = region;
  }

  /** Announces a sentence. */
  tell(sentence) {
    this.#due = [...this.#due, sentence].slice(-MOST);
    this.#timer ??= setTimeout(() => this.#announce(), INTERVAL);
  }

  #announce() {
    this.#region.textContent = this.#due.join(" ");
    this.#due = [];
    this.#timer = undefined;
  }
}
