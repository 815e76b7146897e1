// What this page publishes: one event by hand, or one after another at a rate.

import { pause } from "./pause.js";
import { Refusal, reason } from "./refusal.js";
import { ANSWER, within } from "./watchdog.js";

/** The most moments of publishing that are remembered, for the pictures. */
const MOST = 4_000;

/** How much of the time that a slow server took is made up for, in milliseconds. */
const DEBT = 200;

export class Publisher {
  /** Events that the server acknowledged. */
  acknowledged = 0;
  /** When this page published, oldest first, in the time of performance.now(). */
  moments = [];
  /** Called with the id of each acknowledged event. */
  onacknowledged = () => {};
  /** Called with a sentence when an event was not taken, and with "" when one was. */
  onfault = () => {};

  #page;
  #lane;
  #channel;
  #by = "post";
  #rate = 0;
  #ticks = 0;
  #stop = new AbortController();

  /** `page` marks its events as its own; `lane` is the one that can publish too. */
  constructor(page, lane) {
    this.#page = page;
    this.#lane = lane;
  }

  /** Publishes to this channel from now on. */
  begin(channel) {
    this.#channel = channel;
    this.acknowledged = 0;
    this.moments = [];
    this.#ticks = 0;
  }

  /** Publishes by "post" or "websocket" from now on. */
  by(means) {
    this.#by = means;
  }

  /** Publishes so many events a second by itself; 0 stops it. */
  run(rate) {
    this.#rate = rate;
    this.#stop.abort();
    if (rate === 0) return;
    this.#stop = new AbortController();
    this.#tick(this.#stop.signal);
  }

  /** One event at a time: a server that is slow is not asked faster, and little of what was not done is made up for. */
  async #tick(signal) {
    let due = performance.now();
    while (!signal.aborted) {
      const taken = await this.publish(`tick ${++this.#ticks}`);
      due = Math.max(due + 1000 / this.#rate, performance.now() - DEBT);
      await pause(taken ? due - performance.now() : 1000, signal);
    }
  }

  /** Publishes one event; whether the server took it. */
  async publish(text) {
    const channel = this.#channel;
    const at = performance.now();
    const data = { text, page: this.#page, at };
    try {
      if (channel === undefined) throw new Refusal("no channel is open yet");
      const { id } = await (this.#by === "post" ? this.#post(channel, data) : this.#say(data));
      if (channel !== this.#channel) return true;
      this.acknowledged += 1;
      this.#remember(at);
      this.onacknowledged(id);
      this.onfault("");
      return true;
    } catch (error) {
      this.onfault(reason(error));
      return false;
    }
  }

  #remember(moment) {
    this.moments.push(moment);
    if (this.moments.length > MOST * 1.25) this.moments.splice(0, this.moments.length - MOST);
  }

  async #post(channel, data) {
    const response = await fetch(`/${channel}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(data),
      signal: within(ANSWER),
    });
    if (!response.ok) throw await Refusal.of(response);
    return response.json();
  }

  #say(data) {
    return this.#lane.say({ op: "publish", data }, "publish");
  }
}
