// client.d.ts says what its members are, wire.md what travels.

const [CONNECTING, OPEN, CLOSED] = [0, 1, 2];
const DEFAULTS = { transports: ["websocket", "sse", "long-poll", "poll"], timeout: 5_000, pollInterval: 3_000 };
const FINAL_CODES = /100[23789]|1010|4403/;
/** Milliseconds; WAIT: seconds. */
const [ANSWER, DETOUR, FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WISH] = [30_000, 300_000, 500, 30_000, 600_000];
const [WAIT, ATTEMPTS, INLINE, LONGEST_PATH, CHANNELS] = [25, 5, 4_000, 6_000, 10_000];
const HOME = /.*\/(?=-\/client\.js)/.exec(import.meta.url)?.[0] ?? `${globalThis.location?.origin}/`;

export default class Fourcast extends EventTarget {
  readyState = CONNECTING;
  lastEventId = "";
  #options;
  #root;
  #query;
  #channels;
  /** Not yet where the others are. */
  #late = [];
  #heard = new Map();
  #ways;
  #way;
  #key;
  #until;
  #failures = 0;
  #retry = 0;
  #link = new AbortController();
  #pause;
  #isWelcome;
  #heartbeat;
  #watchdog;
  #socket;
  #asked = new Map();
  #ref = 0;

  constructor(channels = [], options) {
    super();
    const [first = "", ...more] = [channels].flat().map(String);
    const url = new URL(first.includes("://") ? first : HOME + first.replace(/^\//, ""));
    this.#root = url.href.startsWith(HOME) ? HOME : `${url.origin}/`;
    this.#channels = names([decodeURI((url.origin + url.pathname).slice(this.#root.length)), ...more]);
    const { format, transport, wait, ...begin } = Object.fromEntries(url.searchParams);
    const { lastEventId, last_event_id = lastEventId, after = last_event_id, last, since, ...query } = begin;
    this.#query = query;
    this.#options = { after, last, since, ...DEFAULTS };
    for (const name in options) this.#options[name] = options[name] ?? this.#options[name];
    if (/-/.test(this.#options.after)) this.lastEventId = this.#options.after;
    this.withCredentials = !!this.#options.withCredentials;
    this.#ways = this.#options.transports.filter((way) => way !== "websocket" || globalThis.WebSocket);
    this.#key = `fourcast ${this.#root} ${this.#ways}`;
    this.#way = this.#preferred();
    for (const type of ["open", "message", "error", "gap"]) {
      this[`on${type}`] = null;
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    globalThis.addEventListener?.("online", this.#wake);
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
    globalThis.removeEventListener?.("online", this.#wake);
    this.#wake();
  }

  subscribe(channels, { after } = {}) {
    const added = names(channels).filter((name) => !this.#followed.includes(name));
    // One URL must hold all.
    this.#address(this.#followed.concat(added));
    for (const name of added) {
      const late = { name, after: after === "now" ? undefined : after };
      this.#late.push(late);
      if (this.#isLive()) this.#join(late);
    }
    if (added.length && !this.#socket) this.#renew();
  }

  unsubscribe(channels) {
    const gone = names(channels).filter((name) => this.#followed.includes(name));
    if (!gone.length) return;
    const isAsked = this.#isLive() && !this.#late.length;
    const left = isAsked ? this.#ask({ op: "unsubscribe", channels: gone }) : this.#renew();
    // Until then what is under way counts as heard.
    left.catch(Object).then(() => {
      for (const name of gone) {
        for (const key of this.#heard.keys()) if (key.startsWith(`${name} `.split("*")[0])) this.#heard.delete(key);
      }
    });
    this.#late = this.#late.filter(({ name }) => !gone.includes(name));
    this.#channels = this.#channels.filter((name) => !gone.includes(name));
  }

  async publish(
    data = null,
    { channel = this.#channels, type, ttl, key = crypto.getRandomValues(new Uint32Array(4)).join("-") } = {},
  ) {
    channel = names(channel).join();
    if (!channel) throw fault("no channel", { retry: false });
    const isText = typeof data === "string";
    const isBinary = data instanceof Blob || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    const body = isText || isBinary ? data : JSON.stringify(data);
    const mediaType = isText ? "text/plain" : isBinary ? data.type || "application/octet-stream" : "application/json";
    // A JSON string would be text, and too much cost the connection.
    const isInline = !isBinary && body.length <= INLINE && (isText || body[0] !== '"');
    for (let failures = 1; ; failures++) {
      try {
        if (isInline && this.#isLive()) {
          const operation = { op: "publish", channel, type, ttl, key, data: isText ? data : JSON.parse(body) };
          return { id: (await this.#ask(operation)).id, channel };
        }
        const headers = { "Content-Type": mediaType, "Idempotency-Key": key };
        const signal = AbortSignal.timeout(ANSWER);
        const init = { method: "POST", redirect: "error", headers, body, signal };
        return await (await race(this.#fetch([channel], { type, ttl }, init), signal)).json();
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
      // What held is not eaten: the network is gone.
      const isOld = this.#isWelcome && Date.now() - begun > LONGEST_PAUSE;
      if (isOld) this.#failures = 0;
      const falls = !isOld && this.#isEaten(error) && this.#way + 1 < this.#ways.length;
      if (this.#isWelcome || error !== CHANGED) this.#way = falls ? this.#way + 1 : this.#preferred();
      if (this.readyState === CLOSED || error === CHANGED || (falls && !this.#isWelcome)) continue;
      this.readyState = CONNECTING;
      this.#pause = new AbortController();
      if (error.retry === false) this.close();
      this.#fire("error", error);
      if (falls) continue;
      const pause = pauseAfter(this.#failures++, error.wait || this.#retry);
      await sleep(pause, this.#pause.signal).catch(Object);
    }
  }

  async #connect() {
    const { signal } = (this.#link = new AbortController());
    this.#isWelcome = false;
    const error = await race(this.#receive(signal), signal).catch((error) => (signal.aborted ? signal.reason : error));
    this.#link.abort(error);
    this.#socket?.close();
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

  #wake = () => {
    this.#failures = 0;
    if (this.readyState === OPEN) return;
    this.#link.abort(CHANGED);
    this.#pause?.abort();
  };

  /** Once all is taken. */
  async #renew() {
    const link = this.#link;
    await null;
    link.abort(CHANGED);
  }

  get #followed() {
    return this.#channels.concat(this.#late.map(({ name }) => name));
  }

  #preferred() {
    const [until, way] = kept[this.#key]?.split(" ") ?? [];
    const isKept = until > Date.now();
    this.#until = isKept ? until : Infinity;
    return isKept ? +way : 0;
  }

  /** A refusal without a code is not Fourcast's. */
  #isEaten(error) {
    if (this.#isWelcome || error === CHANGED || error.code === "token") return error === SILENT;
    return error === SILENT || this.transport === "websocket" || (this.transport === "sse" && !error.code);
  }

  #expect(milliseconds, act = () => this.#link.abort(SILENT)) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(act, milliseconds);
  }

  async #webSocket(signal) {
    const token = await this.#token(signal);
    const [path, place] = this.#channels.length ? [this.#channels, this.#place()] : [["-/socket"]];
    const { href } = this.#address(path, { ...place, access_token: token });
    const socket = (this.#socket = new WebSocket(href.replace("http", "ws")));
    this.#expect(this.#options.timeout);
    await new Promise((_, reject) => {
      socket.onmessage = ({ data }) => {
        if (signal.aborted) return;
        this.#take(JSON.parse(data));
        // Asks first: a hidden page's timers are late.
        this.#expect(this.#heartbeat, () => {
          socket.send('{"op":"ping"}');
          this.#expect(this.#heartbeat);
        });
      };
      socket.onclose = ({ code, reason }) => {
        reject(fault(reason || `closed with ${code}`, { code, retry: !FINAL_CODES.test(code) }));
      };
    });
  }

  async #sse(signal) {
    const init = { headers: { Accept: "text/event-stream" }, signal };
    const { body } = await this.#fetch(this.#channels, this.#place(), init, this.#options.timeout);
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let [rest, data] = ["", ""]; this.#until > Date.now(); ) {
      const { done, value: piece } = await reader.read();
      signal.throwIfAborted();
      if (done) throw fault("ended");
      // The end may be half of a CRLF.
      const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        const [, field, value] = /^([^:]*):? ?([^]*)/.exec(line);
        if (field === "data") data += `${value}\n`;
        if (field === "retry" && /^\d+$/.test(value)) this.#retry = +value;
        if (line || !data) continue;
        this.#take(JSON.parse(data));
        data = "";
      }
      if (this.#isWelcome) this.#expect(2 * this.#heartbeat);
    }
    throw CHANGED;
  }

  async #polls(signal) {
    const isHeld = this.transport === "long-poll";
    // The first shows whether it gets through.
    for (let wait; this.#until > Date.now(); wait = isHeld ? WAIT : undefined) {
      const asked = performance.now();
      const page = await this.#page(this.#channels, wait);
      this.#welcome({});
      this.#takePage(page);
      // Nothing at once must not become a loop.
      const isDue = page.more || (isHeld && (!wait || page.gap || page.events.length));
      await sleep(isDue ? 0 : asked + this.#options.pollInterval - performance.now(), signal);
    }
    throw CHANGED;
  }

  async #page(channels, wait, after) {
    const { signal } = this.#link;
    const parameters = { ...this.#place(after), wait };
    const response = await this.#fetch(channels, parameters, { signal }, wait ? 2 * ANSWER : ANSWER);
    const page = await response.json();
    signal.throwIfAborted();
    clearTimeout(this.#watchdog);
    return page;
  }

  #take(message) {
    if (this.#link.signal.aborted) return;
    const { op, id, cursor, code, retry_ms: wait } = message;
    if (!op) {
      this.lastEventId = id;
      this.#failures = 0;
      this.#deliver(message);
    } else if (op === "welcome") this.#welcome(message);
    else if (op === "heartbeat") this.lastEventId = cursor;
    else if (op === "bye") this.#link.abort(fault(`closed with ${code}`, { code, wait, retry: wait >= 0 }));
    else if (op === "gap") {
      // Perhaps a late one's.
      if (!this.#late.length) this.lastEventId = cursor;
      this.#fire("gap", message);
    } else this.#answered(message);
  }

  #takePage({ gap, events, cursor, more }) {
    if (gap) this.#take({ op: "gap", ...gap });
    events.forEach((event) => this.#take(event));
    this.#take({ op: "heartbeat", cursor });
    return more;
  }

  #welcome({ cursor = "", heartbeat_ms: heartbeat }) {
    // A gap may come next.
    this.lastEventId ||= cursor;
    this.#heartbeat = heartbeat;
    if (this.#isWelcome) return;
    this.#isWelcome = true;
    if (this.#way && this.#until === Infinity && this.#channels[0]) {
      this.#until = Date.now() + DETOUR;
      try {
        kept[this.#key] = `${this.#until} ${this.#way}`;
      } catch {}
    }
    if (this.#socket) this.#late.forEach((late) => this.#join(late));
    if (this.readyState === OPEN) return;
    this.readyState = OPEN;
    this.#fire("open");
  }

  /** In a life of the journal ids rise. */
  #deliver({ id, channel, type, time, content_type: contentType, encoding, data }) {
    const [life, number] = id.split("-");
    const key = `${channel} ${life}`;
    if (this.#heard.get(key) >= +number) return;
    if (this.#heard.size > CHANNELS) this.#heard.clear();
    this.#heard.set(key, +number);
    const value = encoding ? Uint8Array.from(atob(data), (byte) => byte.charCodeAt()) : data;
    const text = encoding || typeof data === "string" ? value : JSON.stringify(data);
    const event = new MessageEvent(type, { data: text, lastEventId: id, origin: new URL(this.#root).origin });
    this.dispatchEvent(Object.assign(event, { id, channel, time, contentType, value }));
  }

  #fire(type, { message: detail, code, status, reason, from, cursor } = {}) {
    this.dispatchEvent(Object.assign(new Event(type), { detail, code, status, reason, from, cursor }));
  }

  #isLive() {
    return this.#isWelcome && this.#socket?.readyState === OPEN;
  }

  #operate(operation) {
    this.#socket.send(JSON.stringify({ ...operation, ref: ++this.#ref }));
    return this.#ref;
  }

  #ask(operation) {
    return new Promise((resolve, reject) => this.#asked.set(this.#operate(operation), { resolve, reject }));
  }

  #join(late) {
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
    } else {
      this.#asked.get(ref)?.[refusal ? "reject" : "resolve"](refusal || answer);
      this.#asked.delete(ref);
    }
  }

  #replay(late, { events, cursor }) {
    for (const event of events) {
      if (this.#link.signal.aborted) return;
      late.after = event.id;
      this.#deliver(event);
    }
    late.after = cursor;
  }

  /** A request has one place. */
  async #catchUp(signal) {
    while (this.#channels.length && this.#takePage(await this.#page(this.#channels)));
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
    if (!this.#late.includes(late)) return;
    this.#late = this.#late.filter((other) => other !== late);
    if (refusal) this.#fire("error", refusal);
    else this.#channels.push(late.name);
  }

  #place(after = this.lastEventId || this.#options.after) {
    const { last, since } = this.#options;
    if (after || (last ?? since) === undefined) return { after: after || "now" };
    return { last, since: +since || since };
  }

  #address(channels, parameters) {
    const path = encodeURI(channels.join()).replace(/[?#]/g, encodeURIComponent);
    const url = new URL(this.#root + path);
    // Dots lead to another channel.
    if (path.length > LONGEST_PATH || !url.pathname.endsWith(`/${path}`)) {
      throw fault("no URL has such channels", { code: "bad_channel", retry: false });
    }
    const query = { ...this.#query, ...parameters };
    for (const name in query) if (query[name] !== undefined) url.searchParams.set(name, query[name]);
    return url;
  }

  async #fetch(channels, parameters, { headers, ...init }, patience) {
    const token = await this.#token(init.signal);
    if (patience) this.#expect(patience);
    const response = await fetch(this.#address(channels, parameters), {
      ...init,
      headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
      credentials: this.withCredentials ? "include" : "same-origin",
      // Caches let one wait for another.
      cache: "no-store",
    });
    const { ok, status } = response;
    if (ok) return response;
    const { detail, code, retry = /408|429|5../.test(status) } = await response.json().catch(Object);
    throw fault(detail ?? `refused with ${status}`, {
      status,
      code,
      retry: status === 401 ? typeof this.#options.token === "function" : retry,
      wait: 1_000 * response.headers.get("Retry-After"),
    });
  }

  async #token(signal) {
    const { token } = this.#options;
    const fail = (reason) => fault(`no token: ${reason}`, { code: "token" });
    if (signal === this.#link.signal) this.#expect(ANSWER, () => this.#link.abort(fail("no answer")));
    try {
      return typeof token === "function" ? await token() : token;
    } catch (error) {
      throw fail(error);
    } finally {
      signal.throwIfAborted();
    }
  }
}

for (const place of [Fourcast, Fourcast.prototype]) Object.assign(place, { CONNECTING, OPEN, CLOSED });

const fault = (message, members) => Object.assign(new Error(message), members);
const CHANGED = fault("begun anew");
const SILENT = fault("server silent");

function pauseAfter(failures, wish) {
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures);
  return Math.min(LONGEST_WISH, wish || 0) + pause * (0.1 + 0.9 * Math.random());
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

const race = (promise, signal) => Promise.race([promise, sleep(Infinity, signal)]);

const names = (list) => [...new Set(`${[list]}`.split(/^\/|,\/?/).filter(Boolean))];

let kept = {};
try {
  kept = localStorage ?? kept;
} catch {}
