// One lane: a way to the channel that can be dropped and comes back, what it took, and whether it missed anything.

import { Missed } from "./missed.js";
import { Operations } from "./operations.js";
import { pause } from "./pause.js";
import { Refusal } from "./refusal.js";
import { Sequence } from "./sequence.js";
import { Tally } from "./tally.js";
import { WAYS } from "./ways.js";

/** The first pause after a failure, and the longest, in milliseconds. */
const PAUSE = { first: 500, most: 15_000 };
/** The longest label of an event, in characters. */
const LABEL = 18;

const GAPS = {
  retention: "events left by age or number before it came for them",
  deleted: "events were deleted",
  epoch: "the server's journal is not the one that it was",
  overtaken: "it read so slowly that events left before it took them",
  unknown: "the server does not know its cursor",
};

export class Lane {
  sequence = new Sequence();
  tally = new Tally();
  missed = new Missed();
  /** "idle", "connecting", "on", "off", "waiting" (to try again) or "refused". */
  state = "idle";
  /** Why it is in this state, in words. */
  detail = "";
  /** The last gap that it was told of, in words. */
  gap = "";
  /** How often an event came that was not due. */
  disorder = 0;
  /** The number of the event that is due, as the ledger counts; undefined after a gap. */
  place = 0;
  /** Called with each event taken. */
  ontake = () => {};
  /** Called with a sentence when something happened that is worth being told. */
  onnews = () => {};

  #way;
  #world;
  #interval = 2000;
  #away = new Set();
  #stop = new AbortController();
  #failures = 0;
  /** When the connection was last asked for. */
  #since = 0;
  /** Whether it has no connection, and did not ask for one again. */
  #isGone = false;
  /** Whether it lost its connection and did not tell yet that it got everything. */
  #isReturning = false;
  /** What is drawn between two marks: a connection that is open or missing, and a question that is held. */
  #stretch;
  #held;
  /** When it last said something: no answer is drawn above it. */
  #asked;
  #operations = new Operations();
  #wake = () => {};

  constructor(key) {
    this.key = key;
    this.#way = WAYS[key];
    this.name = this.#way.name;
  }

  /**
   * Begins to listen to a channel after `cursor`, with everything counted from zero. `world` has what all lanes
   * share: the `ledger`, the server's `clock`, and the name of this `page`, by which it knows its own events.
   */
  begin({ channel, cursor, token, world }) {
    this.#stop.abort();
    this.#operations.close();
    Object.assign(this, { channel, cursor, token, place: 0, disorder: 0, gap: "" });
    this.#world = world;
    this.sequence = new Sequence();
    this.tally = new Tally();
    this.missed = new Missed();
    this.#stretch = this.#held = undefined;
    this.#isGone = this.#isReturning = false;
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

  /** Somebody else has got an event. */
  hear(id) {
    if (!this.#isGone) return;
    const number = this.#world?.ledger.find(id);
    const has = number !== undefined && number < this.place;
    if (!has) this.missed.note(id);
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
    if (this.#operations.isOpen) this.#asked = this.sequence.add("say", { label }).time;
    return answer;
  }

  #connect() {
    if (this.#away.size > 0 || this.channel === undefined) return;
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#run(this.#stop.signal);
  }

  /** Listens, again and again, until it is dropped or refused for good. */
  async #run(signal) {
    while (!signal.aborted) {
      this.#become("connecting", "connecting");
      this.#since = performance.now();
      if (this.#isReturning) this.missed.back(this.#world.clock.now());
      try {
        await this.#way.listen(this, signal);
      } catch (error) {
        if (!signal.aborted) await this.#failed(error, signal);
      }
    }
  }

  async #failed(error, signal) {
    const told = error instanceof Refusal ? error.message : "the server cannot be reached";
    this.#cut(told);
    if (error.retry === false) {
      this.#become("refused", told);
      this.onnews(`${this.name} was refused: ${told}.`);
      return this.#stop.abort();
    }
    const backoff = Math.min(PAUSE.most, PAUSE.first * 2 ** this.#failures++);
    const patience = error.after ?? backoff * (0.5 + Math.random() / 2);
    this.#become("waiting", `${told}; trying again in ${(patience / 1000).toFixed(1)} s`);
    await pause(patience, signal);
  }

  #become(state, detail) {
    this.state = state;
    this.detail = detail;
  }

  /** Ends whatever was open. */
  #cut(why) {
    this.sequence.end(this.#held);
    this.sequence.end(this.#stretch);
    this.#stretch = this.sequence.begin("off", { why });
    this.#isGone = this.#isReturning = true;
    this.#operations.close();
  }

  #arrive() {
    if (this.state !== "on") {
      this.#failures = 0;
      this.#become("on", "");
    }
    this.#settle();
  }

  /** Tells once that everything missed has come. */
  #settle() {
    if (!this.#isReturning || this.state !== "on" || !this.missed.isSettled) return;
    this.#isReturning = false;
    const { all, got } = this.missed;
    this.onnews(`${this.name} is back: missed ${all}, got ${got}.`);
  }

  // What follows is for the way.

  /** The URL to ask. */
  url(parameters) {
    const query = new URLSearchParams({ after: this.cursor, ...parameters, lane: this.token });
    return `/${this.channel}?${query}`;
  }

  /** A question leaves. */
  ask(label) {
    this.#isGone = false;
    if (this.#stretch?.kind === "off") this.sequence.end(this.#stretch);
    this.tally.requests += 1;
    this.#asked = this.sequence.add("ask", { label }).time;
    this.#held = this.sequence.begin("held");
  }

  /** A question that the server may hold has left: unless it failed lately, it is as good as connected. */
  isHeld() {
    if (this.#failures === 0) this.#arrive();
  }

  /** A question was answered as a whole. */
  answered({ cursor, gap, events }) {
    this.sequence.end(this.#held);
    this.#arrive();
    if (gap) this.#gap(gap);
    const delays = events.map((event) => this.#take(event)).filter((delay) => delay !== undefined);
    const { kind, label } = answerOf(events, gap);
    if (kind === "empty") this.tally.empty += 1;
    const delay = delays.length > 0 ? Math.max(...delays) : undefined;
    this.sequence.add(kind, { asked: this.#asked, count: events.length, label, delay });
    this.cursor = cursor;
    this.#settle();
  }

  /** A question was answered with a connection that stays, on which either the server speaks or both do. */
  opened(label, kind, socket) {
    this.sequence.end(this.#held);
    this.sequence.add("opened", { asked: this.#asked, label });
    this.#stretch = this.sequence.begin(kind);
    if (socket) this.#operations.open(socket);
  }

  /** A sign of life. */
  beat() {
    this.sequence.add("beat");
  }

  /** An event or a control message on an open connection. */
  take(message) {
    if (message.op === undefined) {
      const delay = this.#take(message);
      this.sequence.add("event", { asked: this.#asked, label: labelled(message), count: 1, delay });
      return this.#settle();
    }
    this.#control(message);
    if (message.cursor !== undefined) this.cursor = message.cursor;
  }

  #control(message) {
    if (message.op === "bye") throw Refusal.goodbye(message);
    this.sequence.add("told", { asked: this.#asked, label: message.op });
    if (message.op === "welcome") this.#arrive();
    else if (message.op === "gap") this.#gap(message);
    else if (message.op === "ack" || message.op === "error") this.#operations.answered(message);
  }

  #gap({ reason }) {
    this.place = undefined;
    this.missed = new Missed();
    this.gap = GAPS[reason] ?? reason;
    this.onnews(`${this.name} was told of a gap: ${this.gap}.`);
  }

  /** Takes one event; its delay in milliseconds, if this page published it while the lane was there. */
  #take(event) {
    const { id, time, data } = event;
    const { ledger, page } = this.#world;
    this.tally.events += 1;
    this.cursor = id;
    this.place ??= ledger.find(id) ?? ledger.end;
    const next = ledger.take(this.place, id);
    if (next === undefined) this.disorder += 1;
    this.place = next ?? ledger.find(id) + 1;
    this.missed.take(id, time);
    this.ontake(event);
    if (data?.page !== page || !Number.isFinite(data.at)) return undefined;
    this.sequence.late(data.at);
    const delay = performance.now() - data.at;
    // What came while it was away says how long it was away.
    if (data.at >= this.#since) this.tally.delayed(delay);
    return delay;
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

/** What an answer is, and what to write beside it. */
function answerOf(events, gap) {
  if (events.length > 1) return { kind: "events", label: `${events.length} events` };
  if (events.length === 1) return { kind: "events", label: labelled(events[0]) };
  return gap ? { kind: "told", label: "gap" } : { kind: "empty", label: "nothing" };
}

function labelled({ data, type }) {
  const text = String(typeof data === "string" ? data : (data?.text ?? type));
  return text.length > LABEL ? `${text.slice(0, LABEL - 1)}…` : text;
}
