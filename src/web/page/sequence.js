// What went between the browser and the server in one lane, as marks and spans in time. Times are those of
// performance.now().

/** The most marks and spans that are kept, but for those that last. */
const MOST = 4_000;

/** The shortest wait of an event that is noted, in milliseconds. */
const LEAST = 20;

/**
 * What a mark can be, and what it says as text. `to` is where its arrow points.
 * @type {Record<string, {to: "server" | "browser", text: (mark: object) => string}>}
 */
export const KINDS = {
  ask: { to: "server", text: ({ label }) => `asks: ${label}` },
  empty: { to: "browser", text: () => "answers: nothing new" },
  events: { to: "browser", text: ({ count }) => `answers with ${count} event${count === 1 ? "" : "s"}` },
  opened: { to: "browser", text: ({ label }) => `answers: ${label}` },
  event: { to: "browser", text: ({ label }) => `sends an event: ${label}` },
  told: { to: "browser", text: ({ label }) => `says: ${label}` },
  beat: { to: "browser", text: () => "sends a heartbeat" },
  say: { to: "server", text: ({ label }) => `says: ${label}` },
};

export class Sequence {
  /** Arrows, oldest first: `{kind, time, asked?, count?, label?}`. */
  marks = [];
  /** Stretches of time: `{kind, from, until?}`; kind is "held", "answer", "both", "off" or "late". */
  spans = [];
  /** Counts what was added, so that a reader notices news. */
  version = 0;

  /** Adds an arrow, now. */
  add(kind, details = {}) {
    const mark = { kind, time: performance.now(), ...details };
    keep(this.marks, mark);
    this.version += 1;
    return mark;
  }

  /** Begins a stretch; ended by `end`. */
  begin(kind, details = {}) {
    const span = { kind, from: performance.now(), until: undefined, ...details };
    keep(this.spans, span);
    this.version += 1;
    return span;
  }

  /** Ends a stretch that was begun. */
  end(span) {
    if (span && span.until === undefined) span.until = performance.now();
  }

  /** An event that was published at `from` and came only now. */
  late(from) {
    const last = this.spans.findLast(({ kind }) => kind === "late");
    // Those that came with one answer wait side by side; the first of them is drawn.
    if (last && last.until > from) from = last.until;
    const now = performance.now();
    if (now - from > LEAST) keep(this.spans, { kind: "late", from, until: now });
  }

  /** The last `most` lines of it as text, newest first. */
  lines(most) {
    const cuts = this.spans.filter(({ kind }) => kind === "off").flatMap(cutLines);
    const arrows = this.marks.slice(-most).map((mark) => ({ time: mark.time, text: arrowText(mark) }));
    return [...arrows, ...cuts].sort((a, b) => b.time - a.time).slice(0, most);
  }
}

function arrowText(mark) {
  const { to, text } = KINDS[mark.kind];
  return `${to === "server" ? "browser" : "server"} ${text(mark)}`;
}

function cutLines({ from, until, why }) {
  const lines = [{ time: from, text: why }];
  if (until !== undefined) lines.push({ time: until, text: "connects again" });
  return lines;
}

function keep(list, item) {
  list.push(item);
  // In one go, so that it costs nothing most of the time.
  if (list.length <= MOST * 1.25) return;
  const old = list.splice(0, list.length - MOST);
  list.unshift(...old.filter(lasts));
}

/** Whether it is a stretch that has not ended: a stream that was open for hours is in the picture as the others are. */
function lasts({ from, until }) {
  return from !== undefined && until === undefined;
}
