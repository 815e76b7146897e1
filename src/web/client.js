// The client for browsers, served at /-/client.js as it stands: an EventSource that finds its way.
// client.d.ts says what its members are, wire.md what travels. Times are in milliseconds.

const [CONNECTING, OPEN, CLOSED] = [0, 1, 2];
const DEFAULTS = { transports: ["websocket", "sse", "long-poll", "poll"], timeout: 5_000, pollInterval: 3_000 };
const FINAL_CODES = [1002, 1003, 1007, 1008, 1009, 1010, 4403];
/** How long an answer may take, and a way that did not get through is left alone. */
const [ANSWER, DETOUR] = [30_000, 300_000];
/** Pauses double from the first to the longest, on top of what the server wishes. */
const [FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WISH] = [500, 30_000, 600_000];
/** Seconds that a long poll waits, attempts to publish, channels whose last event is remembered. */
const [WAIT, ATTEMPTS, CHANNELS] = [25, 5, 10_000];
/** Characters that a WebSocket publishes: too many would cost the connection. */
const INLINE = 4_000;
/** Whence this module came, or from a bundle whence the page came. */
const HOME = /^(.*\/)-\/client\.js/.exec(import.meta.url)?.[1] ?? `${globalThis.location?.origin}/`;

export default class Fourcast extends EventTarget {
  readyState = CONNECTING;
  lastEventId = "";
  #options;
  #root;
  #query;
  #channels;
  /** Channels that joined later and are not where the rest is. */
  #late = [];
  #heard = new Map();
  #ways;
  #way;
  #until;
  #failures = 0;
  #retry = 0;
  /** The connection or the pause before it; aborted with why it ends. */
  #link = new AbortController();
  #isWelcome;
  #heartbeat;
  #watchdog;
  #socket;
  #asked = new Map();
  #ref = 0;

  constructor(channels, options = {}) {
    super();
    const [first = "", ...more] = [channels].flat();
    const url = new URL(first.includes("://") ? first.replace(/^ws/, "http") : HOME + first.replace(/^\//, ""));
    this.#root = url.href.startsWith(HOME) ? HOME : `${url.origin}/`;
    this.#channels = names([decodeURI(url.origin + url.pathname).slice(this.#root.length), ...more]);
    const { format, lastEventId, last_event_id, after, last, since, ...query } = Object.fromEntries(url.searchParams);
    this.#query = query;
    this.#options = { after: after ?? lastEventId ?? last_event_id, last, since, ...DEFAULTS, ...options };
    this.withCredentials = Boolean(options.withCredentials);
    this.#ways = this.#options.transports.filter((way) => way !== "websocket" || globalThis.WebSocket);
    this.#way = this.#preferred();
    for (const type of ["open", "message", "error", "gap"]) {
      this[`on${type}`] = null;
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    globalThis.addEventListener?.("online", this.#online);
    queueMicrotask(() => this.#run());
  }

  get url() {
    return this.#address(this.#channels).href;
  }

  get transport() {
    return this.#ways[this.#way];
  }

  close() {
    this.readyState = CLOSED;
    globalThis.removeEventListener?.("online", this.#online);
    this.#link.abort(CHANGED);
  }

  subscribe(channels, { after } = {}) {
    for (const name of names(channels)) {
      const late = { name, after: after === "now" ? undefined : after };
      this.#late.push(late);
      if (this.#isLive()) this.#ask(late);
    }
    if (!this.#socket) this.#link.abort(CHANGED);
  }

  unsubscribe(channels) {
    const gone = names(channels);
    if (this.#isLive() && !this.#late.length) this.#operate({ op: "unsubscribe", channels: gone });
    else this.#link.abort(CHANGED);
    this.#late = this.#late.filter(({ name }) => !gone.includes(name));
    this.#channels = this.#channels.filter((name) => !gone.includes(name));
    // Whoever joins again may ask for the same again.
    for (const key of this.#heard.keys()) if (gone.some((name) => key.startsWith(name.split("*")[0]))) this.#heard.delete(key);
  }

  async publish(data = null, { channel = this.#channels, type, ttl, key = randomKey() } = {}) {
    channel = names(channel).join();
    const isText = typeof data === "string";
    const isBinary = data instanceof Blob || data?.byteLength >= 0;
    const body = isText || isBinary ? data : JSON.stringify(data);
    const mediaType = isText ? "text/plain" : isBinary ? data.type || "application/octet-stream" : "application/json";
    // In an operation, JSON that is a string would be text.
    const isInline = body.length <= INLINE && (isText || body[0] !== '"');
    for (let failures = 1; ; failures++) {
      try {
        if (isInline && this.#isLive()) {
          const ref = this.#operate({ op: "publish", channel, type, ttl, key, data });
          const { id } = await new Promise((resolve, reject) => this.#asked.set(ref, { resolve, reject }));
          return { id, channel };
        }
        const headers = { "Content-Type": mediaType, "Idempotency-Key": key };
        const init = { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER) };
        return await (await this.#fetch([channel], { type, ttl }, init)).json();
      } catch (error) {
        if (error.retry === false || failures === ATTEMPTS) throw error;
        await sleep(pauseAfter(failures, error.wait));
      }
    }
  }

  async #run() {
    while (this.readyState !== CLOSED) {
      const begun = Date.now();
      const error = await this.#connect();
      if (this.#isWelcome && Date.now() - begun > LONGEST_PAUSE) this.#failures = 0;
      const falls = error.falls && this.#way + 1 < this.#ways.length;
      this.#way = falls ? this.#way + 1 : this.#preferred();
      // While ways are tried nothing is lost yet.
      if (this.readyState === CLOSED || error === CHANGED || (falls && !this.#isWelcome)) continue;
      this.readyState = CONNECTING;
      if (error.retry === false) this.close();
      this.#fire("error", error);
      if (falls || this.readyState === CLOSED) continue;
      this.#link = new AbortController();
      await sleep(pauseAfter(this.#failures++, error.wait ?? this.#retry), this.#link.signal).catch(() => {});
    }
  }

  async #connect() {
    const { signal } = (this.#link = new AbortController());
    this.#isWelcome = false;
    const error = await this.#receive(signal).catch((error) => (signal.aborted ? signal.reason : error));
    this.#link.abort(error);
    this.#socket = undefined;
    clearTimeout(this.#watchdog);
    this.#asked.forEach(({ reject }) => reject(error));
    this.#asked.clear();
    return error;
  }

  async #receive(signal) {
    if (this.transport === "websocket") return this.#webSocket(signal);
    if (this.#late.length) await this.#catchUp(signal);
    if (this.#channels.length) return this.transport === "sse" ? this.#sse(signal) : this.#polls(signal);
    this.#welcome({});
    return sleep(Infinity, signal);
  }

  #online = () => {
    this.#failures = 0;
    if (this.readyState === CONNECTING) this.#link.abort(CHANGED);
  };

  /** The best way, unless it did not get through a while ago. */
  #preferred() {
    const [until, way] = kept[this.#root]?.split(" ") ?? [];
    const isDetour = until > Date.now();
    this.#until = isDetour ? until : Infinity;
    return isDetour ? Math.max(0, this.#ways.indexOf(way)) : 0;
  }

  #expect(milliseconds, act = () => this.#link.abort(SILENT)) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(act, milliseconds);
  }

  async #webSocket(signal) {
    const token = await this.#token();
    signal.throwIfAborted();
    const [path, place] = this.#channels.length ? [this.#channels, this.#place()] : [["-/socket"]];
    const { href } = this.#address(path, { ...place, access_token: token });
    const socket = (this.#socket = new WebSocket(href.replace("http", "ws")));
    this.#expect(this.#options.timeout);
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        socket.onmessage = null;
        socket.close();
        reject(signal.reason);
      });
      socket.onmessage = ({ data }) => {
        this.#take(JSON.parse(data), signal);
        // A page sees no pings, so it asks, and waits only then: timers of hidden pages come late.
        this.#expect(this.#heartbeat, () => {
          socket.send('{"op":"ping"}');
          this.#expect(this.#heartbeat);
        });
      };
      socket.onclose = ({ code, reason }) => {
        const retry = code === 4401 ? this.#mayRenew() : !FINAL_CODES.includes(code);
        reject(fault(reason || `closed with ${code}`, { code, retry, falls: !this.#isWelcome }));
      };
    });
  }

  async #sse(signal) {
    const init = { headers: { Accept: "text/event-stream" }, signal };
    const { body } = await this.#fetch(this.#channels, this.#place(), init, this.#options.timeout);
    const parse = eventStream((data) => this.#take(JSON.parse(data), signal), (retry) => (this.#retry = retry));
    const decoder = new TextDecoder();
    for (const reader = body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) throw this.#isWelcome ? fault("the stream ended") : SILENT;
      parse(decoder.decode(value, { stream: true }));
      if (this.#isWelcome) this.#expect(2 * this.#heartbeat);
      if (this.#until < Date.now()) throw CHANGED;
    }
  }

  async #polls(signal) {
    const isHeld = this.transport === "long-poll";
    // The first is not held, and so shows at once that the way gets through.
    for (let wait; this.#until > Date.now(); wait = isHeld ? WAIT : undefined) {
      const asked = Date.now();
      const page = await this.#page(this.#channels, wait);
      this.#welcome({});
      this.#takePage(page, signal);
      // Whoever answers a held poll at once with nothing must not be asked in a loop.
      const isDue = page.more || (isHeld && (!wait || page.gap || page.events.length));
      await sleep(isDue ? 0 : asked + this.#options.pollInterval - Date.now(), signal);
    }
    throw CHANGED;
  }

  async #page(channels, wait, after) {
    const { signal } = this.#link;
    const parameters = { ...this.#place(after), wait };
    const response = await this.#fetch(channels, parameters, { signal }, ANSWER + 1_000 * (wait ?? 0));
    const page = await response.json();
    clearTimeout(this.#watchdog);
    return page;
  }

  #take(message, signal) {
    if (signal.aborted) return;
    const { op, id, cursor, code, retry_ms: wait } = message;
    if (!op) {
      this.lastEventId = id;
      this.#failures = 0;
      this.#deliver(message);
    } else if (op === "welcome") this.#welcome(message);
    else if (op === "heartbeat") this.lastEventId = cursor;
    else if (op === "bye") this.#link.abort(fault(`closed with ${code}`, { code, wait, retry: wait >= 0 }));
    else if (op === "gap") {
      // It may be that of a late one.
      if (!this.#late.length) this.lastEventId = cursor;
      this.#fire("gap", message);
    } else this.#answered(message);
  }

  #takePage({ gap, events, cursor, more }, signal) {
    if (gap) this.#take({ op: "gap", ...gap }, signal);
    for (const event of events) this.#take(event, signal);
    this.#take({ op: "heartbeat", cursor }, signal);
    return more;
  }

  #welcome({ cursor = this.lastEventId, heartbeat_ms: heartbeat = 25_000 }) {
    this.lastEventId = cursor;
    this.#heartbeat = Math.max(1_000, heartbeat);
    if (this.#isWelcome) return;
    this.#isWelcome = true;
    if (this.#way && this.#until === Infinity) {
      this.#until = Date.now() + DETOUR;
      try {
        kept[this.#root] = `${this.#until} ${this.transport}`;
      } catch {}
    }
    if (this.#socket) this.#late.forEach((late) => this.#ask(late));
    if (this.readyState === OPEN) return;
    this.readyState = OPEN;
    this.#fire("open");
  }

  /** Nothing twice: the ids of a channel only rise in one life of the journal. */
  #deliver({ id, channel, type, time, content_type: contentType, encoding, data }) {
    const [life, number] = id.split("-");
    if (this.#heard.get(channel + life) >= +number) return;
    if (this.#heard.size > CHANNELS) this.#heard.clear();
    this.#heard.set(channel + life, +number);
    const value = encoding ? Uint8Array.from(atob(data), (character) => character.charCodeAt(0)) : data;
    const text = encoding || typeof data === "string" ? value : JSON.stringify(data);
    const event = new MessageEvent(type, { data: text, lastEventId: id, origin: new URL(this.#root).origin });
    this.dispatchEvent(Object.assign(event, { id, channel, time, contentType, value }));
  }

  #fire(type, { message, ...members } = {}) {
    this.dispatchEvent(Object.assign(new Event(type), members, { detail: message }));
  }

  #isLive() {
    return this.#isWelcome && this.#socket?.readyState === OPEN;
  }

  #operate(operation) {
    this.#socket.send(JSON.stringify({ ...operation, ref: ++this.#ref }));
    return this.#ref;
  }

  #ask(late) {
    late.ref = this.#operate({ op: "subscribe", channels: [late.name], after: late.after });
  }

  #answered({ op, ref, detail, ...answer }) {
    const late = this.#late.find((other) => other.ref === ref);
    const refusal = op === "error" && fault(detail, answer);
    if (op === "replay") this.#replay(late, answer);
    else if (late && refusal) this.#settle(late, refusal);
    else if (op === "live" || (late && !late.after)) {
      this.lastEventId = answer.cursor;
      this.#settle(late);
    } else if (refusal) this.#asked.get(ref)?.reject(refusal);
    else this.#asked.get(ref)?.resolve(answer);
  }

  #replay(late, { events, cursor }) {
    const { signal } = this.#link;
    for (const event of events) {
      if (signal.aborted) return;
      late.after = event.id;
      this.#deliver(event);
    }
    late.after = cursor;
  }

  /** A request has one place: polls bring those that are there up to now, and the late ones too. */
  async #catchUp(signal) {
    while (this.#channels.length && this.#takePage(await this.#page(this.#channels), signal));
    for (const late of this.#late) {
      const isFirst = !this.#channels.length;
      try {
        let page;
        do {
          page = await this.#page([late.name], undefined, late.after ?? (isFirst ? "now" : this.lastEventId));
          if (page.gap) this.#fire("gap", page.gap);
          this.#replay(late, page);
          signal.throwIfAborted();
        } while (page.more);
        if (isFirst) this.lastEventId = late.after;
        this.#settle(late);
      } catch (error) {
        if (error.retry !== false) throw error;
        this.#settle(late, error);
      }
    }
  }

  #settle(late, refusal) {
    this.#late = this.#late.filter((other) => other !== late);
    if (refusal) this.#fire("error", refusal);
    else this.#channels.push(late.name);
  }

  #place(after = this.lastEventId || this.#options.after) {
    const { last, since } = this.#options;
    if (after || (last ?? since) === undefined) return { after: after || "now" };
    return { last, since: Number(since) || since };
  }

  #address(channels, parameters) {
    const url = new URL(this.#root + encodeURI(channels.join()));
    for (const [name, value] of Object.entries({ ...this.#query, ...parameters })) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }

  async #fetch(channels, parameters, { headers, ...init }, patience) {
    const token = await this.#token();
    if (patience) this.#expect(patience);
    const response = await fetch(this.#address(channels, parameters), {
      ...init,
      headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
      credentials: this.withCredentials ? "include" : "same-origin",
      cache: "no-store",
    });
    const { ok, status } = response;
    if (ok) return response;
    // A proxy's refusal is no problem+json (RFC 9457).
    const { detail, code, retry = status > 499 || status === 408 || status === 429 } = await response.json().catch(Object);
    throw fault(detail ?? `refused with ${status}`, {
      status,
      code,
      retry: status === 401 ? this.#mayRenew() : retry,
      wait: 1_000 * response.headers.get("Retry-After") || undefined,
    });
  }

  async #token() {
    const { token } = this.#options;
    return this.#mayRenew() ? token() : token;
  }

  #mayRenew() {
    return typeof this.#options.token === "function";
  }
}

for (const place of [Fourcast, Fourcast.prototype]) Object.assign(place, { CONNECTING, OPEN, CLOSED });

/** Unless `retry` is false coming back may help, where it `falls` on another way. */
const fault = (message, members) => Object.assign(new Error(message), members);
const CHANGED = fault("begun anew");
const SILENT = fault("the server was silent", { falls: true });

function pauseAfter(failures, wish = 0) {
  const ceiling = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures);
  return Math.min(LONGEST_WISH, wish) + ceiling * (0.1 + 0.9 * Math.random());
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      signal?.aborted ? reject(signal.reason) : resolve();
    };
    const timer = milliseconds < Infinity && setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

/** Reads an event stream (HTML, 9.2.6) but for ids and types, which stand in the data. */
function eventStream(take, retry) {
  let [rest, data] = ["", ""];
  const line = (text) => {
    const [, field, value] = /^([^:]*):? ?([^]*)/.exec(text);
    if (field === "data") data += `${value}\n`;
    if (field === "retry" && /^\d+$/.test(value)) retry(Number(value));
    if (text || !data) return;
    take(data.slice(0, -1));
    data = "";
  };
  return (text) => {
    // A CR that ends a piece may be half of a CRLF.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

const names = (list) => [list].flat().join().split(",").map((name) => name.replace(/^\//, "")).filter(Boolean);

/** randomUUID() is for secure contexts alone. */
const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** Which way got through to which server. */
let kept = {};
try {
  kept = localStorage ?? kept;
} catch {}
