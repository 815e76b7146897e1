// One lane: a way to the channel that can be dropped and comes back.

import { Operations } from "./operations.js";
import { pause } from "./pause.js";
import { Record } from "./record.js";
import { Refusal, reason } from "./refusal.js";
import { WAYS } from "./ways.js";

/** The first pause after a failure, and the longest, in milliseconds. */
const PAUSE = { first: 500, most: 15_000 };
/** Why it does nothing before a channel is open. */
const IDLE = "no channel is open yet";

export class Lane {
  /** "idle", "connecting", "on", "off", "waiting" (to try again) or "refused". */
  state = "idle";
  /** Why it is in this state, in words. */
  detail = IDLE;
  /** The milliseconds after which the server of a stream gives a sign of life, as it said last. */
  heartbeat = 25_000;
  /** What went over it since it began. */
  record = new Record("", {});
  /** Called with each event taken. */
  ontake = () => {};
  /** Called with a sentence when something happened that is worth being told. */
  onnews = () => {};

  #way;
  #interval = 2000;
  #away = new Set();
  #stop = new AbortController();
  #failures = 0;
  #operations = new Operations();
  #wake = () => {};

  constructor(key) {
    this.key = key;
    this.#way = WAYS[key];
    this.name = this.#way.name;
  }

  /** Begins to listen to a channel after `cursor`, with a new record. `world` has what all lanes share. */
  begin({ channel, cursor, token, world }) {
    this.#stop.abort();
    this.#operations.close();
    Object.assign(this, { channel, cursor, token });
    this.record = new Record(cursor, world);
    this.record.ontake = (event) => this.ontake(event);
    this.record.onnews = (happened) => this.onnews(`${this.name} ${happened}.`);
    this.#failures = 0;
    if (this.#away.size > 0) this.#cut(this.detail);
    else this.#connect();
  }

  /** Drops the connection until `connect` is called for the same reason: "switch" or "hidden". */
  drop(reason) {
    this.#away.add(reason);
    if (this.#away.size > 1) return;
    const why = reason === "hidden" ? "closed while the tab is hidden" : "dropped";
    this.#stop.abort();
    this.#cut(why);
    this.#become("off", why);
  }

  /** Takes back a `drop`. */
  connect(reason) {
    if (this.#away.delete(reason)) this.#connect();
  }

  /** Sets the milliseconds between polls, from now on. */
  pollEvery(interval) {
    this.#interval = interval;
    this.#wake();
  }

  /** Says something on the WebSocket; resolves with its answer. */
  async say(operation, label) {
    const answer = this.#operations.send(operation);
    // Nothing is drawn that was not sent.
    if (this.#operations.isOpen) this.record.says(label);
    return answer;
  }

  #connect() {
    if (this.#away.size > 0) return;
    if (this.channel === undefined) return this.#become("idle", IDLE);
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#run(this.#stop.signal);
  }

  /** Listens, again and again, until it is dropped or refused for good. */
  async #run(signal) {
    while (!signal.aborted) {
      this.#become("connecting", "connecting");
      this.record.connects();
      try {
        await this.#way.listen(this, signal);
      } catch (error) {
        if (!signal.aborted) await this.#failed(error, signal);
      }
    }
  }

  async #failed(error, signal) {
    const why = reason(error);
    this.#cut(why);
    if (error.retry === false) {
      this.#become("refused", why);
      this.onnews(`${this.name} was refused: ${why}.`);
      return this.#stop.abort();
    }
    const backoff = Math.min(PAUSE.most, PAUSE.first * 2 ** this.#failures++);
    const patience = error.after ?? backoff * (0.5 + Math.random() / 2);
    this.#become("waiting", `${why}; trying again in ${(patience / 1000).toFixed(1)} s`);
    await pause(patience, signal);
  }

  #become(state, detail) {
    this.state = state;
    this.detail = detail;
  }

  #cut(why) {
    this.record.cut(why);
    this.#operations.close();
  }

  #arrive() {
    this.#failures = 0;
    this.#become("on", "");
    this.record.arrives();
  }

  // What follows is for the way.

  /** The URL to ask. */
  url(parameters) {
    const query = new URLSearchParams({ after: this.cursor, ...parameters, lane: this.token });
    return `/${this.channel}?${query}`;
  }

  /** A question leaves. */
  ask(label) {
    this.record.asks(label);
  }

  /** A question was answered as a whole. */
  answered(answer) {
    this.#arrive();
    this.record.answered(answer);
    this.cursor = answer.cursor;
  }

  /** A question was answered with a connection that stays: "answer", on which the server speaks, or "both". */
  opened(label, kind, socket) {
    this.record.opened(label, kind);
    if (socket) this.#operations.open(socket);
  }

  /** A sign of life. */
  beat() {
    this.record.beats();
  }

  /** An event or a control message on an open connection. */
  take(message) {
    if (message.op === "bye") throw Refusal.goodbye(message);
    if (message.op !== undefined) return this.#control(message);
    this.record.takes(message);
    this.cursor = message.id;
  }

  #control(message) {
    this.record.isTold(message);
    if (message.op === "welcome") this.#greet(message);
    if (message.op === "ack" || message.op === "error") this.#operations.answered(message);
    this.cursor = message.cursor ?? this.cursor;
  }

  #greet({ heartbeat_ms: heartbeat }) {
    this.heartbeat = heartbeat;
    this.#arrive();
  }

  /** Waits for the time of the next poll, however the interval is changed meanwhile. */
  async untilNextPoll(begun, signal) {
    for (;;) {
      signal.throwIfAborted();
      const left = begun + this.#interval - performance.now();
      if (left <= 0) return;
      await new Promise((resolve) => {
        this.#wake = resolve;
        pause(left, signal).then(resolve);
      });
    }
  }
}
