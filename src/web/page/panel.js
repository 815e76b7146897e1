// What one lane shows: its switch, its picture, its figures and charts, and the same as text.

import { drawBytes, drawDelays } from "./chart.js";
import { Picture } from "./picture.js";
import { bytes, duration, number } from "./units.js";

/** How many lines the text of a lane has. */
const LINES = 60;
/** The sign beside each state: a shape, since nothing is told by colour alone. */
const SIGNS = { idle: "○", connecting: "◌", on: "●", off: "✕", waiting: "◌", refused: "✕" };

export class Panel {
  #lane;
  #section;
  #picture;
  #parts;
  #written = -1;

  /** Fills the section of the page that is for this lane. */
  constructor(lane, section) {
    this.#lane = lane;
    this.#section = section;
    section.querySelector(".head").append(template("lane-switch"));
    section.append(template("lane-body"));
    section.querySelector(".switch .name").textContent = "Connected";
    section.querySelector(".about").prepend(title(lane.name));
    this.#parts = {
      picture: section.querySelector(".picture"),
      delays: section.querySelector("[data-chart=delay]"),
      bytes: section.querySelector("[data-chart=bytes]"),
      sign: section.querySelector(".sign"),
      words: section.querySelector(".words"),
      code: section.querySelector("code"),
      details: section.querySelector("details"),
      log: section.querySelector(".log"),
    };
    this.#picture = new Picture(this.#parts.picture);
    this.#name();
    this.#wireSwitch(section.querySelector(".switch input"));
    this.#parts.details.addEventListener("toggle", () => this.#write());
  }

  /** What a screen reader calls the parts that look the same in each lane. */
  #name() {
    const { name } = this.#lane;
    const label = (selector, text) => this.#section.querySelector(selector).setAttribute("aria-label", text);
    label(".switch input", `${name}: connected`);
    label(".picture", `${name}: what goes between browser and server. The same as text is below.`);
    label("[data-chart=delay]", `${name}: delay over the last minute; the figures have p50 and p99.`);
    label(".line button", `Copy the curl line for ${name}`);
    label(".line code", `curl line for ${name}`);
    label("summary", `${name}: the same as text`);
  }

  #wireSwitch(input) {
    input.addEventListener("change", () => {
      if (input.checked) this.#lane.connect("switch");
      else this.#lane.drop("switch");
      this.refresh();
    });
  }

  /** Draws the picture. */
  draw(moments, now, seconds) {
    this.#picture.draw(this.#lane.record.sequence, moments, now, seconds);
  }

  /** Draws the charts; `most` is the most bytes of a second in any lane. */
  chart(most) {
    const { tally } = this.#lane.record;
    drawDelays(this.#parts.delays, tally);
    drawBytes(this.#parts.bytes, tally, most);
    this.#parts.bytes.setAttribute("aria-label", `${this.#lane.name}: ${bytesInWords(tally.seconds)}`);
  }

  /** Brings words and figures up to date. */
  refresh() {
    const { tally } = this.#lane.record;
    const delay = (share) => inUnit(tally.percentile(share), duration);
    this.#figure("events", number(tally.events));
    this.#figure("requests", inUnit(tally.requests, number));
    this.#figure("empty", number(tally.empty));
    this.#figure("each", inUnit(tally.bytesPerEvent, bytes));
    this.#figure("sent", inUnit(tally.sent, bytes));
    this.#figure("received", inUnit(tally.received, bytes));
    this.#figure("p50", delay(0.5));
    this.#figure("p99", delay(0.99));
    this.#state();
    this.#write();
  }

  #figure(name, text) {
    set(this.#section.querySelector(`[data-figure=${name}]`), text);
  }

  #state() {
    const { state } = this.#lane;
    this.#section.dataset.state = state;
    set(this.#parts.sign, SIGNS[state]);
    set(this.#parts.words, this.#words());
  }

  #words() {
    const { state, detail, record } = this.#lane;
    const { missed, gap } = record;
    if (state === "on") {
      if (gap) return `Connected. Told of a gap: ${gap}.`;
      return missed.isNothing ? "Connected" : `Connected. ${balance(missed)}`;
    }
    const text = detail.charAt(0).toUpperCase() + detail.slice(1);
    return missed.owed > 0 ? `${text}. Missed ${number(missed.owed)} so far.` : `${text}.`;
  }

  /** Says how to get the same from a shell. */
  showLine(line) {
    set(this.#parts.code, line);
  }

  /** Writes the sequence as text, for whoever has opened it. */
  #write() {
    const { sequence } = this.#lane.record;
    if (!this.#parts.details.open || this.#written === sequence.version) return;
    this.#written = sequence.version;
    this.#parts.log.replaceChildren(...sequence.lines(LINES).map(lineItem));
  }
}

/** The name once more, for where the rest of a lane is far from its head. */
function title(name) {
  const title = document.createElement("p");
  title.className = "title";
  title.setAttribute("aria-hidden", "true");
  title.textContent = name;
  return title;
}

function bytesInWords(seconds) {
  const most = (name) => bytes(Math.max(...seconds.map((second) => second[name])));
  return `bytes a second over the last minute: at most ${most("sent")} to the browser, ${most("received")} to the server.`;
}

function balance({ all, got, ended }) {
  const rest = ended > 0 ? `; ${number(ended)} had ended by its ttl` : "";
  return `Missed ${number(all)}, got ${number(got)}${rest}.`;
}

function lineItem({ time, text }) {
  const item = document.createElement("li");
  const clock = new Date(performance.timeOrigin + time).toISOString().slice(11, 23);
  item.textContent = `${clock} ${text}`;
  return item;
}

function template(id) {
  return document.getElementById(id).content.cloneNode(true);
}

function inUnit(value, unit) {
  return value === undefined ? "–" : unit(value);
}

/** Writes only what is new, so that nothing is laid out, or announced, in vain. */
export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
