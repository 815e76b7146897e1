// A proxy between a browser and a server that does what proxies do to streams. It knows only as much of HTTP as it
// needs to spoil it: where a request begins, and whether it asks for a WebSocket or an event stream.

import { once } from "node:events";
import net from "node:net";

const HEAD_END = "\r\n\r\n";

export class Proxy {
  /** The first lines of all requests, as they came. */
  requests = [];
  #sockets = new Set();
  #passages = new Set();
  #listener;

  /**
   * Begins to pass on to `server`. Its faults:
   *
   * - `lifetime`: every connection is cut after so many milliseconds
   * - `limit`: every connection is cut after so many bytes to the client
   * - `breaksOff`: of a connection's polls the second that brings events ends before its end
   * - `buffers`: an event stream is held back until its end
   * - `refusesUpgrades`: who asks for a WebSocket gets a 502
   * - `answersStreams`: who asks for an event stream gets this instead, and the end
   * - `swallows`: of a WebSocket nothing passes but the 101
   */
  static async start(t, server, faults = {}) {
    const proxy = new Proxy();
    proxy.server = server;
    proxy.faults = faults;
    proxy.#listener = net.createServer((client) => proxy.#serve(client));
    proxy.#listener.listen(0, "127.0.0.1");
    await once(proxy.#listener, "listening");
    t.after(() => proxy.#stop());
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  /** How many requests asked for a WebSocket. */
  get upgrades() {
    return this.requests.filter(({ isUpgrade }) => isUpgrade).length;
  }

  /** Has nothing pass any more on the connections that there are, which stay open. */
  hush() {
    for (const passage of this.#passages) passage.isHushed = true;
  }

  /** Cuts all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #stop() {
    this.#listener.close();
    this.cut();
  }

  #serve(client) {
    const [host, port] = this.server.address.split(":");
    const upstream = net.connect(Number(port), host);
    const ends = [client, upstream];
    for (const socket of ends) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        // What was written still goes out.
        for (const other of ends) other.end();
      });
    }
    const passage = new Passage(this, client, upstream);
    this.#passages.add(passage);
    client.on("data", (bytes) => passage.isHushed || passage.request(bytes));
    client.on("end", () => upstream.destroy());
    client.on("close", () => this.#passages.delete(passage));
    upstream.on("data", (bytes) => passage.isHushed || passage.respond(bytes));
    upstream.on("end", () => passage.finish());
    if (this.faults.lifetime) setTimeout(() => ends.forEach((socket) => socket.destroy()), this.faults.lifetime);
  }
}

/** One connection through the proxy. */
class Passage {
  isHushed = false;
  #held = [];
  #passed = 0;
  #pages = 0;
  #isStream = false;
  #isUpgrade = false;
  #isUpgraded = false;

  constructor(proxy, client, upstream) {
    Object.assign(this, { proxy, client, upstream });
  }

  request(bytes) {
    const text = bytes.toString("latin1");
    if (/^[A-Z]+ \//.test(text)) {
      this.#isStream = /^accept: text\/event-stream/im.test(text);
      this.#isUpgrade = /^upgrade: websocket/im.test(text);
      this.proxy.requests.push({ line: text.split("\r\n")[0], isUpgrade: this.#isUpgrade });
    }
    if (this.#isUpgrade && this.proxy.faults.refusesUpgrades) {
      this.client.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    } else if (this.#isStream && this.proxy.faults.answersStreams !== undefined) {
      this.client.end(this.proxy.faults.answersStreams);
    } else if (!this.#isSwallowed()) this.upstream.write(bytes);
  }

  respond(bytes) {
    if (this.#isStream && this.proxy.faults.buffers) this.#held.push(bytes);
    else if (this.#isUpgrade) this.#respondUpgraded(bytes);
    else if (this.proxy.faults.breaksOff && this.#isSecondPage(bytes)) {
      this.client.write(bytes.subarray(0, -10), () => this.client.destroy());
    } else this.#pass(bytes);
  }

  #isSecondPage(bytes) {
    this.#pages += bytes.includes('"events":[{');
    return this.#pages === 2;
  }

  #pass(bytes) {
    const rest = (this.proxy.faults.limit ?? Infinity) - this.#passed;
    this.#passed += bytes.length;
    this.client.write(bytes.subarray(0, Math.min(rest, bytes.length)), () => {
      if (bytes.length > rest) this.client.destroy();
    });
  }

  #respondUpgraded(bytes) {
    if (this.#isSwallowed()) return;
    // The first message may come in one piece with the head.
    const head = this.#isUpgraded ? 0 : bytes.indexOf(HEAD_END) + HEAD_END.length;
    this.#isUpgraded = true;
    this.#pass(this.#isSwallowed() ? bytes.subarray(0, head) : bytes);
  }

  #isSwallowed() {
    return this.#isUpgraded && this.proxy.faults.swallows;
  }

  finish() {
    for (const bytes of this.#held) this.client.write(bytes);
    this.client.end();
  }
}
