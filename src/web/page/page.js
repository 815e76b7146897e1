// The live page: four lanes that listen to one channel, what it publishes to them, and the controls. The files under
// /-/page/ are one noun each.

import { Clock } from "./page/clock.js";
import { fault, named, random, show } from "./page/channel.js";
import { wireCopy } from "./page/copy.js";
import { curlLine } from "./page/curl.js";
import { Lane } from "./page/lane.js";
import { Ledger } from "./page/ledger.js";
import { Meter } from "./page/meter.js";
import { News } from "./page/news.js";
import { watchPalette } from "./page/palette.js";
import { Panel, set } from "./page/panel.js";
import { pause } from "./page/pause.js";
import { Publisher } from "./page/publisher.js";
import { Refusal, reason } from "./page/refusal.js";
import { drawSamples } from "./page/samples.js";
import { duration, number } from "./page/units.js";
import { ANSWER, within } from "./page/watchdog.js";

/** What the sliders stand for: events a second, and seconds between polls. */
const RATES = [0, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
const INTERVALS = [0.2, 0.5, 1, 2, 3, 5, 10];
/** Milliseconds between two looks at the figures. */
const REFRESH = 250;
/** Milliseconds until a server that did not open a channel is asked again. */
const AGAIN = 2000;
/** Characters of the token by which the server counts for a lane. */
const TOKEN = 24;

const $ = (selector) => document.querySelector(selector);
const clock = new Clock();
const news = new News($("#news"));
/** By this the page knows the events that it published itself. */
const page = random(8);

const sections = [...document.querySelectorAll(".lane")];
export const lanes = sections.map((section) => new Lane(section.dataset.way));
const panels = lanes.map((lane, index) => new Panel(lane, sections[index]));
const socketLane = lanes.find(({ key }) => key === "websocket");
const publisher = new Publisher(page, socketLane);
const meter = new Meter(lanes, clock);
let channel;
/** Aborted when another channel is to be opened. */
let opening = new AbortController();
let ledger = new Ledger();

for (const lane of lanes) {
  lane.onnews = (sentence) => news.tell(sentence);
  lane.ontake = ({ id }) => tellOthers(lane, id);
}
publisher.onacknowledged = (id) => tellOthers(undefined, id);
publisher.onfault = (sentence) => say($("#publish-fault"), sentence);
meter.onround = chart;
meter.onfault = (sentence) => say($("#meter-fault"), sentence);

function tellOthers(teller, id) {
  for (const lane of lanes) if (lane !== teller) lane.record.hears(id);
}

/**
 * Opens a channel, with everything counted from zero, as soon as the server answers. All lanes begin at the same place.
 * Of several that are to be opened the last one is.
 */
async function open(name) {
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  say($("#channel-fault"), "");
  let cursor;
  while (cursor === undefined) {
    try {
      cursor = await head(name, signal);
    } catch (error) {
      if (!signal.aborted) say($("#channel-fault"), sentence(error));
      if (error.retry === false) return;
      await pause(error.after ?? AGAIN, signal);
    }
    if (signal.aborted) return;
  }
  begin(name, cursor);
}

/** The cursor of what comes next in a channel. */
async function head(name, signal) {
  const response = await fetch(`/${name}?after=now`, { signal: within(ANSWER, signal) });
  if (!response.ok) throw await Refusal.of(response);
  return (await response.json()).cursor;
}

/** Begins to listen to a channel, and to publish to it. */
function begin(name, cursor) {
  say($("#channel-fault"), "");
  channel = name;
  ledger = new Ledger();
  show(name);
  $("#channel-name").value = name;
  publisher.begin(name);
  meter.begin();
  const world = { ledger, clock, page };
  for (const lane of lanes) lane.begin({ channel, cursor, token: random(TOKEN), world });
  for (const [index, lane] of lanes.entries()) panels[index].showLine(curlLine(lane.key, channel));
  $("#publish-line code").textContent = `curl -d hello '${new URL(`/${channel}`, location.href)}'`;
  refresh();
}

function sentence(error) {
  const why = reason(error);
  return `${why.charAt(0).toUpperCase()}${why.slice(1)}${error.retry === false ? "" : "; trying again"}.`;
}

/** Shows a fault, and announces it once; "" takes it back. */
function say(element, sentence) {
  if (element.textContent === sentence) return;
  if (sentence) news.tell(sentence);
  element.textContent = sentence;
  element.hidden = sentence === "";
}

// What is shown.

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
let drawn = 0;

function draw(now) {
  requestAnimationFrame(draw);
  // Whoever wants no motion gets a new picture each second; for all others 30 a second leave time for the events.
  if (now - drawn < (stillness.matches ? 1000 : 30)) return;
  drawn = now;
  const seconds = Number($("#span").value);
  for (const panel of panels) panel.draw(publisher.moments, performance.now(), seconds);
}

function chart() {
  const seconds = lanes.flatMap(({ record }) => record.tally.seconds);
  const most = seconds.reduce((most, { sent, received }) => Math.max(most, sent, received), 1000);
  for (const panel of panels) panel.chart(most);
}

function refresh() {
  for (const panel of panels) panel.refresh();
  set($("#acknowledged"), number(publisher.acknowledged));
  set($("#agreement"), agreement());
}

/** Whether the lanes have the same events in the same order, held against what the page knows of the channel. */
function agreement() {
  const wrong = lanes.find(({ record }) => record.disorder > 0);
  if (wrong) return `✕ ${wrong.name} got an event twice or out of order.`;
  const all = ledger.size;
  if (all === 0) return "Nothing was published yet: write something above, or let the page publish by itself.";
  // Whatever a lane has is in the ledger, and it has nothing twice: so many events are the same events.
  const behind = lanes.filter(({ record }) => record.tally.events < all);
  const told = lanes.filter(({ record }) => record.gap).map(({ name }) => name);
  if (told.length > 0) return `✓ Same order in all lanes. Told of a gap, and so with fewer events: ${told.join(", ")}.`;
  if (behind.length === 0) return `✓ All four lanes have the same ${events(all)}, in the same order.`;
  const list = behind.map(({ name, record }) => `${name} has ${number(record.tally.events)}`).join(", ");
  return `✓ Same order so far. Of ${events(all)} ${list}.`;
}

function events(count) {
  return `${number(count)} event${count === 1 ? "" : "s"}`;
}

// The controls.

function wireSlider(input, values, said, onchange) {
  const change = () => {
    const value = values[Number(input.value)];
    const text = said(value);
    $(`#${input.id}-said`).textContent = text;
    input.setAttribute("aria-valuetext", text);
    onchange(value);
  };
  input.addEventListener("input", change);
  change();
}

function wireControls() {
  wireSlider($("#rate"), RATES, (rate) => (rate === 0 ? "off" : `${rate} a second`), run);
  wireSlider($("#interval"), INTERVALS, (seconds) => `${seconds} s`, (seconds) => {
    for (const lane of lanes) lane.pollEvery(seconds * 1000);
  });
  $("#publish").addEventListener("submit", (event) => {
    event.preventDefault();
    publisher.publish($("#text").value);
  });
  for (const input of document.querySelectorAll("[name=by]")) {
    input.addEventListener("change", () => publisher.by(input.value));
  }
  $("#ping").addEventListener("click", ping);
  $("#afresh").addEventListener("click", () => open(channel ?? named()));
  for (const code of document.querySelectorAll("code")) wireCopy(code.parentElement.querySelector("button"), code, news);
}

function wireChannel() {
  $("#channel").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("#channel-name").value.trim().replace(/^\/+/, "");
    const sentence = fault(name);
    if (sentence) say($("#channel-fault"), sentence);
    else open(name);
  });
  wireCopy($("#copy-link"), undefined, news);
  addEventListener("hashchange", () => open(named()));
}

async function ping() {
  const begun = performance.now();
  const answer = await socketLane.say({ op: "ping" }, "ping").catch((error) => error);
  const took = duration(performance.now() - begun);
  $("#pong").value = answer instanceof Error ? answer.message : `${took} there and back`;
}

function run(rate) {
  publisher.run(document.hidden ? 0 : rate);
}

/** A browser allows six connections to a host, over all its tabs: a tab that nobody looks at needs none. */
function wireVisibility() {
  let stop = new AbortController();
  const change = () => {
    stop.abort();
    run(RATES[Number($("#rate").value)]);
    for (const lane of lanes) {
      if (document.hidden) lane.drop("hidden");
      else lane.connect("hidden");
    }
    if (document.hidden) return;
    stop = new AbortController();
    meter.run(stop.signal);
  };
  document.addEventListener("visibilitychange", change);
  change();
}

watchPalette(() => {
  drawSamples($("#samples"));
  drawn = 0;
});
wireControls();
wireChannel();
wireVisibility();
setInterval(() => document.hidden || refresh(), REFRESH);
requestAnimationFrame(draw);
open(named());
