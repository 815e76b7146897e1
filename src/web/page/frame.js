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

/** How the arrow of each kind is drawn. */
const STYLES = {
  ask: { colour: "ink", width: 1.25, head: "open" },
  empty: { colour: "quiet", width: 1.25, dash: [4, 3], head: "open", end: "ring" },
  events: { colour: "event", width: 2, head: "full", end: "dot" },
  opened: { colour: "ink", width: 1.25, head: "full" },
  event: { colour: "event", width: 2, head: "full", end: "dot" },
  told: { colour: "quiet", width: 1.25, head: "open" },
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
    this.#left = this.#hasWords ? 58 : Math.round(width * 0.2);
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

  /** The two lines and their names, dashed where there is no connection to be had; and nothing above them. */
  lifelines(spans) {
    const context = this.#context;
    context.fillStyle = palette.quiet;
    context.textAlign = "center";
    context.fillText(this.#hasWords ? "browser" : "client", this.#left, 12);
    context.fillText("server", this.#right, 12);
    context.beginPath();
    context.rect(0, TOP - 6, this.width, this.#bottom + BOTTOM);
    context.clip();
    for (const x of [this.#left, this.#right]) this.#line("quiet", 1.25, x, 0, x, this.#bottom + BOTTOM);
    for (const span of this.#visibleSpans(spans, "off")) this.#off(span);
  }

  #visibleSpans(spans, kind) {
    return spans.filter((span) => span.kind === kind && this.#y(span.until ?? this.#now) > 0);
  }

  #off({ from, until, why }) {
    const [top, bottom] = [this.#y(from), until === undefined ? this.#bottom + BOTTOM : this.#y(until)];
    for (const x of [this.#left, this.#right]) {
      this.#line("paper", 4, x, top + 2, x, bottom - 2);
      this.#line("quiet", 1, x, top, x, bottom, [2, 5]);
    }
    const middle = (this.#left + this.#right) / 2;
    this.#cross(middle, top + 2);
    if (bottom - top > LEADING * 2) this.#words(why, middle, top + 22, "center", "fault");
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

  /** What lasts: connections that are open, questions that are held, events that wait. */
  spans(spans) {
    for (const span of this.#visibleSpans(spans, "answer")) this.#open(span, [this.#right]);
    for (const span of this.#visibleSpans(spans, "both")) this.#open(span, [this.#left, this.#right]);
    for (const span of this.#visibleSpans(spans, "held")) this.#held(span);
    for (const { from, until } of this.#visibleSpans(spans, "late")) {
      const [top, bottom] = [this.#y(from), this.#y(until)];
      const x = this.#right + 12;
      if (bottom - top > 3) this.#line("wait", 3, x, top + 1, x, bottom - 1);
    }
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

  /** The arrows, those of one style at once: there may be thousands. */
  marks(marks) {
    const visible = this.#visible(marks, ({ time }) => time).map((mark) => this.#arrow(mark));
    for (const [kind, style] of Object.entries(STYLES)) {
      const arrows = visible.filter(({ mark }) => mark.kind === kind);
      if (arrows.length > 0) this.#draw(arrows, style);
    }
    if (!this.#hasWords) return;
    for (const arrow of visible) this.#label(arrow);
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

  /** Beside the arrow: above its beginning on the way to the server, below it on the way back. */
  #label({ mark, from: [x, y], to }) {
    const asks = KINDS[mark.kind].to === "server";
    if (mark.hasWords && mark.label) {
      if (asks) this.#words(mark.label, x + 8, y - 4, "left", "ink");
      else this.#words(mark.label, x - 4, y + 13, "right", mark.kind === "empty" ? "quiet" : "ink");
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
