// What this page says on its WebSocket, and the answers that are due.

import { Refusal } from "./refusal.js";

export class Operations {
  #socket;
  #due = new Map();
  #next = 1;

  /** Speaks on this socket from now on. */
  open(socket) {
    this.#socket = socket;
  }

  get isOpen() {
    return this.#socket !== undefined;
  }

  /** Gives up what has no answer yet. */
  close() {
    this.#socket = undefined;
    for (const { reject } of this.#due.values()) reject(new Refusal("the WebSocket lane lost its connection"));
    this.#due.clear();
  }

  /** Sends an operation; resolves with its answer. */
  send(operation) {
    if (!this.isOpen) return Promise.reject(new Refusal("the WebSocket lane is not connected"));
    const ref = this.#next++;
    this.#socket.send(JSON.stringify({ ...operation, ref }));
    return new Promise((resolve, reject) => this.#due.set(ref, { resolve, reject }));
  }

  /** Takes an `ack` or an `error`. */
  answered(answer) {
    const due = this.#due.get(answer.ref);
    this.#due.delete(answer.ref);
    if (answer.op === "ack") due?.resolve(answer);
    else due?.reject(new Refusal(answer.detail, { retry: answer.retry }));
  }
}
