// One frame of a picture: where things are, and how each is drawn. Each kind has a shape of its own; colour only helps.

import { palette } from "./palette.js";
import { KINDS } from "./sequence.js";

/** The least distance between two lines of words. */
export const LEADING = 15;

/** Room for the names of the lifelines, and below for what has just come. */
const TOP = 24;
const BOTTOM = 18;
/** A picture narrower than this has no words in it. */
const WORDS = 190;
/** How far an arrow falls on its way. */
const FALL = 6;
/** Moments of publishing nearer than this have no line across the picture. */
const SPARSE = 10;

/** How the arrow of each kind is drawn, in this order. */
const STYLES = {
  told: { colour: "quiet", width: 1.25, head: "open" },
  ask: { colour: "ink", width: 1.25, head: "open" },
  empty: { colour: "quiet", width: 1.25, dash: [4, 3], head: "open", end: "ring" },
  events: { colour: "event", width: 2, head: "full", end: "dot" },
  opened: { colour: "ink", width: 1.25, head: "full" },
  event: { colour: "event", width: 2, head: "full", end: "dot" },
  beat: { colour: "quiet", width: 1.5, dash: [1, 4], end: "diamond" },
  say: { colour: "ink", width: 2, head: "full" },
};

export class Frame {
  #context;
  #now;
  #bottom;
  #left;
  #right;
  #hasWords;

  constructor({ context, width, height }, now, seconds) {
    this.#context = context;
    this.#now = now;
    this.width = width;
    this.hasRoom = height > TOP + BOTTOM && width > 0;
    this.#bottom = height - BOTTOM;
    this.perSecond = (this.#bottom - TOP) / seconds;
    this.#hasWords = width >= WORDS;
    this.#left = this.#hasWords ? 62 : Math.round(width * 0.2);
    this.#right = width - (this.#hasWords ? 40 : Math.round(width * 0.24));
    context.lineCap = "round";
    context.font = `11px ${palette.font}`;
  }

  /** Where a moment is, from the top. */
  #y(time) {
    return this.#bottom - ((this.#now - time) / 1000) * this.perSecond;
  }

  /** The last of `items`, which are in the order of time, that are still in the picture. */
  #visible(items, end) {
    const first = items.findLastIndex((item) => this.#y(end(item)) < TOP - FALL * 3);
    return items.slice(first + 1);
  }

  /** The names of the lines, and nothing else above. */
  names() {
    const context = this.#context;
    context.fillStyle = palette.quiet;
    context.textAlign = "center";
    context.fillText(this.#hasWords ? "browser" : "client", this.#left, 12);
    context.fillText("server", this.#right, 12);
    context.beginPath();
    context.rect(0, TOP - 6, this.width, this.#bottom + BOTTOM);
    context.clip();
  }

  /** No connection: the lines are dashed, and the reason stands where it began. */
  #off({ from, until, why }) {
    const [top, bottom] = [this.#y(from), until === undefined ? this.#bottom + BOTTOM : this.#y(until)];
    for (const x of [this.#left, this.#right]) {
      this.#line("paper", 4, x, top + 2, x, bottom - 2);
      this.#line("quiet", 1, x, top, x, bottom, [2, 5]);
    }
    const middle = (this.#left + this.#right) / 2;
    this.#cross(middle, top + 2);
    const hasRoom = bottom - top > LEADING * 2 && this.#context.measureText(why).width < this.width;
    if (hasRoom) this.#words(why, middle, top + 22, "center", "fault");
  }

  #cross(x, y) {
    for (const side of [-4, 4]) this.#line("fault", 2, x - side, y - 4, x + side, y + 4);
  }

  /** When this page published: a tick at the server, and a line across where they are few. */
  moments(moments) {
    let before = -Infinity;
    for (const moment of this.#visible(moments, (time) => time)) {
      const y = this.#y(moment);
      if (y - before > SPARSE) this.#line("rule", 1, 0, y, this.width, y);
      this.#line("wait", 2, this.#right + 2, y, this.#right + 12, y);
      before = y;
    }
  }

  /** The two lines, and what lasts: connections that are open or missing, questions that are held, events that wait. */
  spans(spans) {
    const visible = spans.filter(({ until }) => this.#y(until ?? this.#now) > 0);
    const each = (kind, draw) => visible.filter((span) => span.kind === kind).forEach(draw);
    for (const x of [this.#left, this.#right]) this.#line("quiet", 1.25, x, 0, x, this.#bottom + BOTTOM);
    each("off", (span) => this.#off(span));
    each("answer", (span) => this.#open(span, [this.#right]));
    each("both", (span) => this.#open(span, [this.#left, this.#right]));
    each("held", (span) => this.#held(span));
    each("late", (span) => this.#late(span));
  }

  #late({ from, until }) {
    const [top, bottom] = [this.#y(from), this.#y(until)];
    const x = this.#right + 12;
    if (bottom - top > 3) this.#line("wait", 3, x, top + 1, x, bottom - 1);
  }

  /** A connection that stays: a band, and a bar at each side that may speak. */
  #open({ from, until }, bars) {
    const top = this.#y(from);
    const height = (until === undefined ? this.#bottom + BOTTOM : this.#y(until)) - top;
    const context = this.#context;
    context.fillStyle = palette.band;
    context.fillRect(this.#left, top, this.#right - this.#left, height);
    for (const x of bars) this.#bar(x, top, height, palette.paper);
  }

  /** A question that the server holds: a hatched bar. */
  #held({ from, until }) {
    const top = this.#y(from) + FALL;
    const height = (until === undefined ? this.#bottom + BOTTOM : this.#y(until) - FALL) - top;
    if (height < 4) return;
    this.#bar(this.#right, top, height, palette.paper);
    const context = this.#context;
    context.save();
    context.beginPath();
    context.rect(this.#right - 4, Math.max(top, 0), 8, height);
    context.clip();
    context.beginPath();
    const begin = top < 0 ? top % 5 : top;
    for (let y = begin; y < Math.min(top + height, this.#bottom + BOTTOM) + 8; y += 5) {
      context.moveTo(this.#right - 4, y);
      context.lineTo(this.#right + 4, y - 8);
    }
    this.#stroke("quiet", 1);
    context.restore();
  }

  #bar(x, y, height, fill) {
    const context = this.#context;
    context.fillStyle = fill;
    context.fillRect(x - 4, y, 8, height);
    context.beginPath();
    context.rect(x - 4, y, 8, height);
    this.#stroke("quiet", 1.25);
  }

  /** The arrows, those of one style at once, and of each no more than the picture has rows. */
  marks(marks) {
    const visible = this.#visible(marks, ({ time }) => time);
    for (const [kind, style] of Object.entries(STYLES)) {
      const arrows = this.#distinct(visible.filter((mark) => mark.kind === kind));
      if (arrows.length > 0) this.#draw(arrows, style);
    }
    if (!this.#hasWords) return;
    for (const mark of visible) if (mark.hasWords || mark.hasDelay) this.#label(this.#arrow(mark));
  }

  /** The arrows of marks, without those that would lie on the one before. */
  #distinct(marks) {
    const nearest = 750 / this.perSecond;
    let before = -Infinity;
    const seen = marks.filter(({ time }) => {
      // By where it is in time, not on the screen, so that the same ones are left out as they move.
      const slot = Math.floor(time / nearest);
      const isNew = slot !== before;
      before = slot;
      return isNew;
    });
    return seen.map((mark) => this.#arrow(mark));
  }

  /** From where to where; an answer is never drawn above its question. */
  #arrow(mark) {
    const [left, right] = [this.#left + 4, this.#right - 5];
    const y = this.#y(mark.time);
    if (KINDS[mark.kind].to === "server") return { mark, from: [left, y], to: [right, y + FALL] };
    const end = mark.asked === undefined ? y : Math.max(y, this.#y(mark.asked) + FALL * 2);
    return { mark, from: [right, end - FALL], to: [left, end] };
  }

  #draw(arrows, { colour, width, dash = [], head, end }) {
    const context = this.#context;
    // Where they are many, thin lines still show one by one.
    const distance = (this.#bottom - arrows[0].to[1]) / arrows.length;
    width *= Math.min(1, Math.max(0.3, distance / 5));
    context.beginPath();
    for (const { from, to } of arrows) {
      context.moveTo(...from);
      context.lineTo(...to);
    }
    this.#stroke(colour, width, dash);
    if (head) this.#heads(arrows, head, colour);
    if (end) this.#ends(arrows, end, colour);
  }

  #heads(arrows, head, colour) {
    const context = this.#context;
    context.beginPath();
    for (const { from, to: [x, y] } of arrows) {
      const back = from[0] < x ? -7 : 7;
      context.moveTo(x + back, y - 3.5);
      context.lineTo(x, y);
      context.lineTo(x + back * 0.9, y + 3);
      if (head === "full") context.closePath();
    }
    if (head === "open") return this.#stroke(colour, 1.25);
    context.fillStyle = palette[colour];
    context.fill();
  }

  /** What arrives at the browser: a dot that grows with the number of events, a ring for nothing, a diamond. */
  #ends(arrows, end, colour) {
    const context = this.#context;
    const x = this.#left;
    context.beginPath();
    for (const { mark, to: [, y] } of arrows) {
      const radius = end === "dot" ? Math.min(8, 3.5 + Math.log2(mark.count ?? 1)) : 3.5;
      context.moveTo(x + radius, y);
      if (end === "diamond") diamond(context, x, y, 4);
      else context.arc(x, y, radius, 0, Math.PI * 2);
    }
    context.fillStyle = end === "dot" ? palette[colour] : palette.paper;
    context.fill();
    this.#stroke(colour, 1.5);
  }

  /** At the arrow's beginning: above it, or below it if an arrow of the other direction came just before. */
  #label({ mark, from: [x, y], to }) {
    if (mark.hasWords && mark.label) {
      const isAsked = KINDS[mark.kind].to === "server";
      const beside = mark.isFirst ? y - 4 : y + 13;
      const colour = mark.kind === "empty" ? "quiet" : "ink";
      this.#words(mark.label, x + (isAsked ? 8 : -4), beside, isAsked ? "left" : "right", colour);
    }
    if (mark.hasDelay) this.#words(`+${inSeconds(mark.delay)}`, this.#left - 10, to[1] + 4, "right", "ink");
  }

  #words(text, x, y, align, colour) {
    const context = this.#context;
    context.textAlign = align;
    context.lineJoin = "round";
    context.setLineDash([]);
    context.strokeStyle = palette.paper;
    context.lineWidth = 3;
    context.strokeText(text, x, y);
    context.fillStyle = palette[colour];
    context.fillText(text, x, y);
  }

  #line(colour, width, x0, y0, x1, y1, dash) {
    this.#context.beginPath();
    this.#context.moveTo(x0, y0);
    this.#context.lineTo(x1, y1);
    this.#stroke(colour, width, dash);
  }

  #stroke(colour, width, dash = []) {
    Object.assign(this.#context, { strokeStyle: palette[colour], lineWidth: width });
    this.#context.setLineDash(dash);
    this.#context.stroke();
  }
}

function diamond(context, x, y, size) {
  context.moveTo(x, y - size);
  for (const [dx, dy] of [[size, 0], [0, size], [-size, 0], [0, -size]]) context.lineTo(x + dx, y + dy);
}

function inSeconds(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
