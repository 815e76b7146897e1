// What one lane has on record since it began: what went between the two sides, what it took, and what it missed.

import { placeOf } from "./ledger.js";
import { Missed } from "./missed.js";
import { Sequence } from "./sequence.js";
import { Tally } from "./tally.js";

/** The longest label of an event, in characters. */
const LABEL = 18;

const GAPS = {
  retention: "events left by age or number before it came for them",
  deleted: "events were deleted",
  epoch: "the server's journal is not the one that it was",
  overtaken: "it read so slowly that events left before it took them",
  unknown: "the server does not know its cursor",
};

export class Record {
  sequence = new Sequence();
  tally = new Tally();
  missed = new Missed();
  /** The last gap that it was told of, in words. */
  gap = "";
  /** How often an event came twice, or after one that was published later. */
  disorder = 0;
  /** Called with each event taken. */
  ontake = () => {};
  /** Called with what happened and is worth being told: a sentence without its subject, which is the lane. */
  onnews = () => {};

  #ledger;
  #clock;
  #page;
  /** Up to where in the channel the lane has come. */
  #place;
  /** "there", "asking" for a connection, or "gone" without having asked again. */
  #presence = "asking";
  /** When the connection was last asked for. */
  #since = 0;
  /** Whether the lane lost its connection and it was not told yet that it got everything. */
  #isReturning = false;
  /** What is drawn between two marks: a connection that is open or missing, and a question that is held. */
  #stretch;
  #held;
  /** When the lane last asked or said something: no answer is drawn above it. */
  #asked;

  /**
   * The lane begins after `cursor`. All lanes share the `ledger`, the server's `clock`, and the name of the `page`, by
   * which it knows its own events.
   */
  constructor(cursor, { ledger, clock, page }) {
    this.#place = placeOf(cursor);
    this.#ledger = ledger;
    this.#clock = clock;
    this.#page = page;
  }

  /** A connection is asked for. */
  connects() {
    this.#since = performance.now();
    if (this.#isReturning) this.missed.back(this.#clock.now());
  }

  /** The connection is there: the server has answered. */
  arrives() {
    this.#presence = "there";
    this.#settle();
  }

  /** The connection is gone. */
  cut(why) {
    this.sequence.end(this.#held);
    this.sequence.end(this.#stretch);
    this.#stretch = this.sequence.begin("off", { why });
    this.#presence = "gone";
    this.#isReturning = true;
  }

  /** A question leaves. */
  asks(label) {
    if (this.#presence === "gone") this.#presence = "asking";
    if (this.#stretch?.kind === "off") this.sequence.end(this.#stretch);
    this.#asked = this.sequence.add("ask", { label }).time;
    this.#held = this.sequence.begin("held");
  }

  /** A question was answered as a whole. */
  answered({ cursor, gap, events }) {
    this.sequence.end(this.#held);
    if (gap) this.#lose(gap);
    const delays = events.map((event) => this.#take(event)).filter((delay) => delay !== undefined);
    const { kind, label } = answerOf(events, gap);
    if (kind === "empty") this.tally.empty += 1;
    const delay = delays.length > 0 ? Math.max(...delays) : undefined;
    this.sequence.add(kind, { asked: this.#asked, count: events.length, label, delay });
    this.missed.pass(placeOf(cursor));
    this.#settle();
  }

  /** A question was answered with a connection that stays, on which either the server speaks or both do. */
  opened(label, kind) {
    this.sequence.end(this.#held);
    this.sequence.add("opened", { asked: this.#asked, label });
    this.#stretch = this.sequence.begin(kind);
  }

  /** A sign of life on an open connection. */
  beats() {
    this.sequence.add("beat");
  }

  /** An event on an open connection. */
  takes(event) {
    const delay = this.#take(event);
    this.missed.pass(this.#place);
    this.sequence.add("event", { asked: this.#asked, label: labelled(event), count: 1, delay });
    this.#settle();
  }

  /** A control message on an open connection. */
  isTold(message) {
    this.sequence.add("told", { asked: this.#asked, label: message.op });
    if (message.op === "gap") this.#lose(message);
  }

  /** The lane says something on an open connection. */
  says(label) {
    this.#asked = this.sequence.add("say", { label }).time;
  }

  /** Somebody else has got an event. */
  hears(id) {
    if (this.#presence === "gone" && placeOf(id) > this.#place) this.missed.note(id);
  }

  /** Tells once that everything missed has come. */
  #settle() {
    if (!this.#isReturning || this.#presence !== "there" || this.missed.owed > 0) return;
    this.#isReturning = false;
    const { all, got } = this.missed;
    this.onnews(`is back: missed ${all}, got ${got}`);
  }

  #lose({ reason, cursor }) {
    // It may be the place in another journal.
    this.#place = placeOf(cursor);
    this.missed = new Missed();
    this.#isReturning = false;
    this.gap = GAPS[reason] ?? reason;
    this.onnews(`was told of a gap: ${this.gap}`);
  }

  /** Takes one event; its delay in milliseconds, if this page published it while the lane was there. */
  #take(event) {
    const { id, time, data } = event;
    this.tally.events += 1;
    if (placeOf(id) <= this.#place) this.disorder += 1;
    this.#place = placeOf(id);
    this.#ledger.note(id);
    this.missed.take(id, time);
    this.ontake(event);
    if (data?.page !== this.#page || !Number.isFinite(data.at)) return undefined;
    this.sequence.late(data.at);
    const delay = performance.now() - data.at;
    // What came while it was away says how long it was away.
    if (data.at >= this.#since) this.tally.delayed(delay);
    return delay;
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
