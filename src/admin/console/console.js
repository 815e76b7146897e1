// The operator's console: asks this port every two seconds while somebody looks, and draws what it says.

const EVERY = 2000;
const WINDOW = 5 * 60 * 1000;
const KEY = "fourcast-admin-key";
const WAYS = { sse: "SSE", websocket: "WebSocket", "long-poll": "Long poll", ndjson: "NDJSON", http: "HTTP" };

const at = id => document.getElementById(id);

// ---- Asking -------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(target, method = "GET") {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetch(target, { method, headers, cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail ?? `status ${answer.status}`);
}

// The ready check says no with a 503, which is an answer too.
async function askReady() {
  try {
    await (await ask("/-/ready")).text();
    return null;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

// The samples of Prometheus' text format: name{label="value"} → number.
function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const space = line.lastIndexOf(" ");
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}

// ---- What was seen ------------------------------------------------------------------------------------------

let looks = [];

class Look {
  constructor(samples) {
    this.time = performance.now();
    this.samples = samples;
  }

  get(name, label, value) {
    return this.samples.get(label ? `${name}{${label}="${value}"}` : name) ?? 0;
  }

  // [value of the label, number] of each sample with this name.
  each(name) {
    const found = [];
    for (const [key, number] of this.samples) {
      const match = key.startsWith(`${name}{`) && /="([^"]*)"/.exec(key);
      if (match) found.push([match[1], number]);
    }
    return found;
  }

  sum(name) {
    return this.each(name).reduce((sum, [, number]) => sum + number, 0);
  }
}

function remember(look) {
  const last = looks.at(-1);
  const started = told("process_start_time_seconds");
  const isAnother = last && started(last) !== null && started(look) !== null && started(last) !== started(look);
  if (isAnother || look.get("fourcast_requests_total") < (last?.get("fourcast_requests_total") ?? 0)) looks = [];
  looks.push(look);
  while (look.time - looks[0].time > WINDOW + EVERY) looks.shift();
}

// The newest look that is at least so old, else the oldest.
function before(look, age) {
  return looks.findLast(other => look.time - other.time >= age) ?? looks[0];
}

// Growth a second since the look before; null where one of them does not have it.
function rate(look, count) {
  const last = looks[looks.indexOf(look) - 1];
  const [then, now] = [last ? count(last) : null, count(look)];
  return then === null || now === null ? null : (now - then) / ((look.time - last.time) / 1000);
}

// The quantile of what a histogram counted between two looks, in seconds; null when that is nothing.
function quantile(name, from, to, share) {
  const bounds = look => new Map(look.each(`${name}_bucket`));
  const [earlier, later] = [bounds(from), bounds(to)];
  const grown = [...later].map(([bound, count]) => [Number(bound.replace("+Inf", "Infinity")), count - (earlier.get(bound) ?? 0)]);
  const all = grown.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  let [low, below] = [0, 0];
  for (const [bound, count] of grown) {
    if (count >= all * share) {
      if (bound === Infinity) return low;
      return low + (bound - low) * ((all * share - below) / Math.max(count - below, 1));
    }
    [low, below] = [bound, count];
  }
  return low;
}

// ---- Numbers for people -------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function number(value) {
  if (value === null || Number.isNaN(value)) return "–";
  if (value >= 1e7) return `${(value / 1e6).toPrecision(3)}\u00a0M`;
  if (value >= 100 || Number.isInteger(value)) return whole.format(value);
  return value.toFixed(value >= 10 ? 1 : 2);
}

function bytes(value) {
  if (value === null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toPrecision(3)}\u00a0${units[unit]}`;
}

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)}\u00a0µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0)}\u00a0ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}\u00a0s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}\u00a0min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)}\u00a0h`;
  return `${Math.floor(seconds / 86400)}\u00a0d`;
}

// ---- Figures ------------------------------------------------------------------------------------------------

const total = name => look => look.sum(name);
const plain = name => look => look.get(name);
// Of a process that has run out of files not everything is told.
const told = name => look => look.samples.get(name) ?? null;
const delay = share => look => quantile("fourcast_delivery_delay_seconds", before(look, 10000), look, share);
const appending = look => quantile("fourcast_journal_append_seconds", before(look, 10000), look, 0.99);

// title; curve, second: what is drawn over time; figure, more: what is said; bad: whether somebody should look.
const TILES = [
  {
    title: "Connections", curve: total("fourcast_connections"), format: number,
    figure: look => number(look.sum("fourcast_connections")),
    more: look => `of ${number(look.get("fourcast_connections_limit"))}; ${number(look.get("fourcast_connections_turned_away_total"))} turned away`,
    bad: look => look.sum("fourcast_connections") >= 0.9 * look.get("fourcast_connections_limit"),
  },
  {
    title: "Events in, a second", curve: look => rate(look, plain("fourcast_events_published_total")), format: number,
    figure: look => number(rate(look, plain("fourcast_events_published_total"))),
    more: look => `${bytes(rate(look, plain("fourcast_published_bytes_total")))} a second; ${number(look.get("fourcast_events_published_total"))} in all`,
  },
  {
    title: "Deliveries out, a second", curve: look => rate(look, total("fourcast_deliveries_total")), format: number,
    figure: look => number(rate(look, total("fourcast_deliveries_total"))),
    more: look => `${bytes(rate(look, plain("fourcast_sent_bytes_total")))} a second`,
  },
  {
    title: "Delay until it is written", wide: true, curve: delay(0.99), second: delay(0.5), format: duration,
    figure: look => `${duration(delay(0.5)(look))} · ${duration(delay(0.99)(look))}`,
    more: () => "p50 (dashed) · p99, of the last 10 s",
  },
  {
    title: "Subscribers behind", curve: plain("fourcast_subscribers_behind"), format: number,
    figure: look => number(look.get("fourcast_subscribers_behind")),
    more: () => "being caught up",
  },
  {
    title: "Gaps told, a minute", curve: look => growth(look, total("fourcast_gaps_total")), format: number,
    figure: look => number(growth(look, total("fourcast_gaps_total"))),
    more: look => `${number(look.sum("fourcast_gaps_total"))} since the start`,
  },
  {
    title: "Refusals, a minute", curve: look => growth(look, total("fourcast_refusals_total")), format: number,
    figure: look => number(growth(look, total("fourcast_refusals_total"))),
    more: look => `${number(look.sum("fourcast_refusals_total"))} since the start`,
  },
  {
    title: "Journal: time to keep, p99", curve: appending, format: duration,
    figure: look => (look.get("fourcast_journal_writable") ? duration(appending(look)) : "not writable"),
    more: look => `${number(rate(look, plain("fourcast_journal_commits_total")))} commits a second; ${number(look.get("fourcast_journal_waiting"))} waiting`,
    bad: look => !look.get("fourcast_journal_writable"),
  },
  {
    title: "Journal: kept", curve: plain("fourcast_journal_bytes"), format: bytes,
    figure: look => bytes(look.get("fourcast_journal_bytes")),
    more: look => `${number(look.get("fourcast_journal_events"))} events, ${number(look.get("fourcast_journal_channels"))} channels`,
  },
  {
    title: "Memory", curve: told("process_resident_memory_bytes"), format: bytes,
    figure: look => bytes(told("process_resident_memory_bytes")(look)),
    more: look => `${number(told("process_threads")(look))} threads; ${number(look.get("process_open_fds"))} of ${number(look.get("process_max_fds"))} files`,
    bad: look => look.get("process_open_fds") >= 0.95 * look.get("process_max_fds") && look.get("process_max_fds") > 0,
  },
  {
    title: "CPU, cores in use", curve: look => rate(look, told("process_cpu_seconds_total")), format: number,
    figure: look => number(rate(look, told("process_cpu_seconds_total"))),
    more: look => `${duration(told("process_cpu_seconds_total")(look))} since the start`,
  },
];

// Growth in the last minute.
function growth(look, count) {
  return count(look) - count(before(look, 60000));
}

function make(name, text, parent, className) {
  const element = document.createElement(name);
  if (text !== null) element.textContent = text;
  if (className) element.className = className;
  parent?.append(element);
  return element;
}

function makeSvg(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

function makeTile(tile) {
  const box = make("article", null, at("tiles"), tile.wide ? "tile wide" : "tile");
  make("h3", tile.title, box);
  const parts = { box, figure: make("p", "–", box, "figure"), more: make("p", "", box, "more") };
  parts.peak = make("p", "", box, "peak");
  const svg = makeSvg("svg", { viewBox: "0 0 300 30", preserveAspectRatio: "none", "aria-hidden": "true" }, box);
  parts.area = makeSvg("path", { class: "area" }, svg);
  parts.second = makeSvg("path", { class: "curve second" }, svg);
  parts.curve = makeSvg("path", { class: "curve" }, svg);
  return parts;
}

// Values over time as strokes; a pause breaks the line.
function strokes(values, now, most) {
  const lines = [];
  const span = Math.min(Math.max(now - values[0].time, 60000), WINDOW);
  let last = null;
  for (const { time, value } of values) {
    if (value === null) continue;
    const point = [300 - ((now - time) / span) * 300, 29 - (most > 0 ? value / most : 0) * 28];
    if (last === null || time - last > 5 * EVERY) lines.push([]);
    lines.at(-1).push(point.map(part => part.toFixed(1)));
    last = time;
  }
  return lines;
}

const joined = line => line.map(point => point.join()).join("L");
const path = lines => lines.map(line => `M${joined(line)}`).join("");
const filled = lines => lines.map(line => `M${line[0][0]},30L${joined(line)}L${line.at(-1)[0]},30Z`).join("");

// What a look comes to does not change any more.
function valuesOf(tile, name) {
  return looks.map(look => {
    const kept = (look.values ??= new Map());
    const key = tile.title + name;
    if (!kept.has(key)) kept.set(key, tile[name](look));
    return { time: look.time, value: kept.get(key) };
  });
}

function drawTile(tile, look) {
  const parts = (tile.parts ??= makeTile(tile));
  parts.figure.textContent = tile.figure(look);
  parts.more.textContent = tile.more(look);
  parts.box.classList.toggle("bad", Boolean(tile.bad?.(look)));
  const values = valuesOf(tile, "curve");
  const most = Math.max(0, ...values.map(({ value }) => value ?? 0));
  parts.peak.textContent = `peak ${tile.format(most)}`;
  const lines = strokes(values, look.time, most);
  parts.curve.setAttribute("d", path(lines));
  parts.area.setAttribute("d", filled(lines));
  if (tile.second) parts.second.setAttribute("d", path(strokes(valuesOf(tile, "second"), look.time, most)));
}

// ---- Tables -------------------------------------------------------------------------------------------------

// Rows are kept and changed in place, so that focus and selection outlive a refresh.
function fill(body, rows, makeRow, changeRow) {
  const known = new Map([...body.children].map(row => [row.dataset.key, row]));
  const wanted = rows.map(row => {
    const element = known.get(String(row.key)) ?? makeRow(row);
    element.dataset.key = row.key;
    changeRow(element, row);
    known.delete(String(row.key));
    return element;
  });
  for (const gone of known.values()) gone.remove();
  wanted.forEach((element, place) => {
    if (body.children[place] !== element) body.insertBefore(element, body.children[place] ?? null);
  });
}

function say(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

// A row whose cells have these classes; the first names it.
function rowOf(classes) {
  const row = document.createElement("tr");
  classes.forEach((className, place) => {
    const cell = make(place === 0 ? "th" : "td", null, row, className);
    if (place === 0) cell.scope = "row";
  });
  return row;
}

function drawWays(look) {
  const limit = look.get("fourcast_connections_limit");
  const rows = Object.keys(WAYS).map(way => ({ key: way }));
  const makeRow = () => {
    const row = rowOf(["", "number", "bar", "number"]);
    const svg = makeSvg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, row.children[2]);
    makeSvg("rect", { class: "track", width: 100, height: 6 }, svg);
    makeSvg("rect", { class: "part", width: 0, height: 6 }, svg);
    return row;
  };
  fill(at("ways"), rows, makeRow, (row, { key: way }) => {
    const open = look.get("fourcast_connections", "way", way);
    say(row.children[0], way === "http" ? "HTTP: polls, publishers, idle" : WAYS[way]);
    say(row.children[1], number(open));
    row.querySelector(".part").setAttribute("width", limit ? (100 * open) / limit : 0);
    say(row.children[3], number(rate(look, one => one.get("fourcast_deliveries_total", "way", way))));
  });
}

function drawRefused(look) {
  const earlier = before(look, 60000);
  const told = (name, label, kind) => look.each(name).filter(([, count]) => count > 0).map(([value, count]) => ({
    key: `${kind} ${value}`, count, recent: count - earlier.get(name, label, value),
  }));
  const rows = [...told("fourcast_gaps_total", "reason", "gap:"), ...told("fourcast_refusals_total", "code", "refused:")];
  rows.sort((one, other) => other.recent - one.recent || other.count - one.count);
  fill(at("refused"), rows, () => rowOf(["", "number", "number"]), (row, { key, count, recent }) => {
    say(row.children[0], key);
    say(row.children[1], number(count));
    say(row.children[2], number(recent));
  });
  at("refused").closest(".scroll").hidden = rows.length === 0;
  at("refused-empty").hidden = rows.length > 0;
}

// A list of this port that is shown page by page.
class List {
  constructor(name, draw, next) {
    Object.assign(this, { name, draw, next, form: at(`${name}-form`), after: "" });
    this.form.addEventListener("submit", event => event.preventDefault());
    this.form.addEventListener("input", () => {
      this.after = "";
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.refresh(), 250);
    });
    this.form.addEventListener("click", ({ target }) => {
      if (!target.dataset.page) return;
      this.after = target.dataset.page === "next" ? this.following : "";
      this.refresh();
    });
  }

  async refresh() {
    const asked = new URLSearchParams(new FormData(this.form));
    for (const [name, value] of [...asked]) if (!value.trim()) asked.delete(name);
    asked.set("limit", "25");
    if (this.after !== "") asked.set("after", this.after);
    const ticket = (this.ticket = {});
    const page = await ask(`/-/${this.name}?${asked}`).then(answer => answer.json()).catch(error => error);
    // Somebody has asked for something else meanwhile.
    if (ticket !== this.ticket) return;
    if (page instanceof Error) return this.fail(page);
    this.show(page);
  }

  fail(error) {
    const told = error instanceof Refused && error.status === 400;
    say(this.form.querySelector(".problem"), told ? error.message : "");
    if (error.status === 401) askForKey();
  }

  show(page) {
    const rows = page[this.name];
    this.draw(at(this.name), rows);
    this.following = page.more ? this.next(page) : null;
    say(this.form.querySelector(".problem"), "");
    this.form.querySelector("[data-page=first]").disabled = this.after === "";
    this.form.querySelector("[data-page=next]").disabled = this.following === null;
    at(this.name).closest(".scroll").hidden = rows.length === 0;
    at(`${this.name}-empty`).hidden = rows.length > 0;
  }
}

function drawChannels(body, channels) {
  const rows = channels.map(channel => ({ key: channel.channel, ...channel }));
  const classes = ["name", ...Array(7).fill("number"), "name"];
  fill(body, rows, () => rowOf(classes), (row, { channel, rate: often, events, bytes: size, subscribers, last }) => {
    const counts = ["sse", "websocket", "long-poll", "ndjson"].map(way => number(subscribers[way]));
    const cells = [channel, number(often), number(events), bytes(size), ...counts, last ?? "–"];
    cells.forEach((text, place) => say(row.children[place], text));
    row.children[0].title = channel;
  });
}

function drawConnections(body, connections) {
  const rows = connections.map(connection => ({ key: connection.id, ...connection }));
  const makeRow = ({ id, address }) => {
    const row = rowOf(["number", "", "name", "name", "number", "number", "number", "number", ""]);
    const button = make("button", "End…", row.children[8]);
    button.type = "button";
    button.setAttribute("aria-label", `End connection ${id} from ${address}`);
    button.addEventListener("click", () => askToEnd(row.connection));
    return row;
  };
  fill(body, rows, makeRow, (row, connection) => {
    row.connection = connection;
    const hears = connection.channels.join(", ");
    const behind = connection.behind ? `≤ ${number(connection.events_behind)}` : "–";
    const age = duration((Date.now() - connection.since) / 1000);
    const cells = [String(connection.id), WAYS[connection.way], connection.address, hears || "–", behind, age, bytes(connection.received_bytes), bytes(connection.sent_bytes)];
    cells.forEach((text, place) => say(row.children[place], text));
    row.children[3].title = hears;
    row.children[4].classList.toggle("late", connection.behind);
  });
}

// ---- Ending a connection, and the key -----------------------------------------------------------------------

function askToEnd(connection) {
  const { id, way, address, channels } = connection;
  const dialog = at("ending");
  say(at("ending-who"), `${id}: ${WAYS[way]} from ${address}${channels.length ? `, hears ${channels.join(", ")}` : ""}`);
  dialog.querySelector("form").reset();
  dialog.returnValue = "cancel";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "end") return;
    const code = new FormData(dialog.querySelector("form")).get("code");
    // 404: it has ended by itself, which is as well.
    await ask(`/-/connections/${id}?code=${code}`, "DELETE").catch(error => error.status === 401 && askForKey());
    lists.connections.refresh();
  };
  dialog.showModal();
}

function askForKey() {
  const dialog = at("asking");
  if (dialog.open) return;
  const hadOne = sessionStorage.getItem(KEY) !== null;
  say(at("asking-problem"), hadOne ? "This key is not the one." : "");
  sessionStorage.removeItem(KEY);
  at("key").value = "";
  dialog.returnValue = "";
  dialog.onclose = () => {
    // Submitted, so it has passed the check of the form: one that no header can carry would never come to be refused.
    if (dialog.returnValue === "show") sessionStorage.setItem(KEY, at("key").value.trim());
    at("key").value = "";
    look();
  };
  dialog.showModal();
}

// A followed link carries no key.
function openWithKey(event) {
  if (!sessionStorage.getItem(KEY)) return;
  event.preventDefault();
  ask(event.target.getAttribute("href")).then(answer => answer.text()).then(text => {
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    window.open(url, "_blank", "noopener");
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }).catch(error => error.status === 401 && askForKey());
}

// ---- The round ----------------------------------------------------------------------------------------------

const lists = {
  channels: new List("channels", drawChannels, page => page.channels.at(-1)?.channel ?? ""),
  connections: new List("connections", drawConnections, page => page.next),
};

function showState(state, text) {
  at("state").dataset.state = state;
  say(at("state"), text);
}

function draw(look, notReady) {
  if (notReady === null) showState("good", "Ready: it takes events");
  else showState("bad", look.get("fourcast_draining") ? "Stopping" : `Not ready: ${notReady}`);
  const [version] = look.each("fourcast_build_info")[0] ?? [""];
  say(at("version"), version);
  const started = look.get("process_start_time_seconds");
  say(at("uptime"), started ? `up ${duration(Date.now() / 1000 - started)}` : "");
  for (const tile of TILES) drawTile(tile, look);
  drawWays(look);
  drawRefused(look);
}

let timer;
let round = 0;

async function look() {
  clearTimeout(timer);
  if (document.hidden || at("asking").open) return;
  const mine = ++round;
  try {
    const [answer, notReady] = await Promise.all([ask("/metrics"), askReady()]);
    const seen = new Look(parse(await answer.text()));
    remember(seen);
    draw(seen, notReady);
    await Promise.all(Object.values(lists).map(list => list.refresh()));
  } catch (error) {
    if (error.status === 401) return askForKey();
    showState("bad", error instanceof Refused ? error.message : "No answer from the server");
  }
  if (mine === round) timer = setTimeout(look, EVERY);
}

document.addEventListener("visibilitychange", look);
for (const link of document.querySelectorAll("a.data")) link.addEventListener("click", openWithKey);
look();
