// A sequence as a picture: two lifelines, time running down, now at the bottom.

import { Frame, LEADING } from "./frame.js";
import { clear } from "./palette.js";
import { KINDS } from "./sequence.js";

/** The least delay that is worth telling, in milliseconds. */
const LATE = 100;

export class Picture {
  #canvas;
  #chosen = {};

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Draws the last `seconds` of a sequence before `now`; `moments` are those of publishing. */
  draw(sequence, moments, now, seconds) {
    const frame = new Frame(clear(this.#canvas), now, seconds);
    if (!frame.hasRoom) return;
    this.#chooseWords(sequence, frame.perSecond);
    frame.names();
    frame.moments(moments);
    frame.spans(sequence.spans);
    frame.marks(sequence.marks);
  }

  /** Decides once for each mark whether there is room for its words, so that they do not flicker as they move. */
  #chooseWords({ marks }, perSecond) {
    if (this.#chosen.perSecond !== perSecond || this.#chosen.marks !== marks) {
      this.#chosen = { perSecond, marks, seen: never(), words: never(), below: {}, delay: -Infinity };
    }
    const chosen = this.#chosen;
    const room = (LEADING / perSecond) * 1000;
    let first = marks.length;
    while (first > 0 && marks[first - 1].chosen !== chosen) first -= 1;
    for (const mark of marks.slice(first)) {
      const { to } = KINDS[mark.kind];
      mark.chosen = chosen;
      // Inside of the angle that a question makes with its quick answer there is no room.
      mark.isFirst = mark.time - chosen.seen[to === "server" ? "browser" : "server"] >= room;
      // Words below one arrow and above the next meet in between.
      const apart = mark.isFirst && chosen.below[to] ? room * 3 : room;
      mark.hasWords = mark.time - chosen.seen[to] >= room && mark.time - chosen.words[to] >= apart;
      if (mark.hasWords) {
        chosen.words[to] = mark.time;
        chosen.below[to] = !mark.isFirst;
      }
      chosen.seen[to] = mark.time;
      mark.hasDelay = mark.delay > LATE && mark.time - chosen.delay >= room;
      if (mark.hasDelay) chosen.delay = mark.time;
    }
  }
}

/** When neither side was heard of. */
function never() {
  return { server: -Infinity, browser: -Infinity };
}
