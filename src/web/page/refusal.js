// Why something failed, in words: a server's no, or none that answers.

/** What to say of an error. */
export function reason(error) {
  if (error instanceof Refusal) return error.message;
  return error.name === "TimeoutError" ? "the server did not answer in time" : "the server cannot be reached";
}

export class Refusal extends Error {
  /** Whether the same request may succeed later. */
  retry;
  /** Milliseconds after which to come back, if the server said. */
  after;

  constructor(detail, { retry = true, after } = {}) {
    super(detail);
    this.retry = retry;
    this.after = after;
  }

  /** Reads it from an answer that is not as it was hoped for. */
  static async of(response) {
    const problem = await response.json().catch(() => ({}));
    const seconds = Number(response.headers.get("Retry-After"));
    return new Refusal(problem.detail ?? `the server answered ${response.status}`, {
      // Whatever is no word of Fourcast's is a proxy's, which may be without a server for a moment.
      retry: problem.retry ?? true,
      after: seconds > 0 ? seconds * 1000 : undefined,
    });
  }

  /** Reads it from a goodbye: who is not told when to come back, stays away. */
  static goodbye({ code, retry_ms: after }) {
    return new Refusal(`the server said goodbye (${code})`, { retry: after !== undefined, after });
  }
}
