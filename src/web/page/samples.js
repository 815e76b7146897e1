// The key to the pictures, drawn by what draws the pictures.

import { Picture } from "./picture.js";
import { Sequence } from "./sequence.js";

/** Each sample shows one second: what is in it, where time is in milliseconds of that second. */
const SAMPLES = [
  ["A question, and an answer with nothing in it", (at) => {
    at.add("ask", 300);
    at.add("empty", 400, { asked: 300 });
  }],
  ["A question, and an answer with events; the dot grows with their number", (at) => {
    at.add("ask", 300);
    at.add("events", 400, { asked: 300, count: 6 });
  }],
  ["A question that the server holds until there is an event", (at) => {
    at.add("ask", 50);
    at.span("held", 50, 750);
    at.add("events", 750, { count: 1 });
  }],
  ["An answer that goes on, with an event and a heartbeat in it", (at) => {
    at.span("answer", 0);
    at.add("event", 350, { count: 1 });
    at.add("beat", 800);
  }],
  ["A connection on which both may speak", (at) => {
    at.span("both", 0);
    at.add("event", 300, { count: 1 });
    at.add("say", 600);
  }],
  ["Published here; then the event waits at the server until this lane gets it", (at) => {
    at.published(200);
    at.span("late", 200, 780);
    at.add("ask", 700);
    at.add("events", 780, { asked: 700, count: 1 });
  }],
  ["No connection", (at) => {
    at.span("off", 350, 850, { why: "" });
  }],
];

/** Fills the list with a picture and a sentence for each sample; drawn anew when called again. */
export function drawSamples(list) {
  if (list.childElementCount === 0) list.append(...SAMPLES.map(([text]) => item(text)));
  list.querySelectorAll("canvas").forEach((canvas, index) => {
    const sample = new Sample();
    SAMPLES[index][1](sample);
    new Picture(canvas).draw(sample.sequence, sample.moments, 1000, 1);
  });
}

function item(text) {
  const item = document.createElement("li");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  item.append(canvas, text);
  return item;
}

class Sample {
  sequence = new Sequence();
  moments = [];

  add(kind, time, details) {
    this.sequence.add(kind, { time, ...details });
  }

  span(kind, from, until, details) {
    this.sequence.begin(kind, { from, until, ...details });
  }

  published(time) {
    this.moments.push(time);
  }
}
