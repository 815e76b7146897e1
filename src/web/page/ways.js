// The four ways, each with the bare means of a browser. A way listens until `signal` is aborted, and throws what
// ended it otherwise.

import { Refusal } from "./refusal.js";
import { ANSWER, Watchdog, within } from "./watchdog.js";

/** Events in one answer at most. */
const LIMIT = 1000;
/** How long the server is to hold a question, in seconds. */
const WAIT = 25;
/** Close code of somebody who leaves because he wants to. */
const NORMAL = 1000;

export const WAYS = {
  poll: { name: "Polling", listen: poll },
  "long-poll": { name: "Long polling", listen: longPoll },
  sse: { name: "SSE", listen: sse },
  websocket: { name: "WebSocket", listen: websocket },
};

async function poll(lane, signal) {
  for (;;) {
    const begun = performance.now();
    const more = await ask(lane, signal, { limit: LIMIT });
    if (!more) await lane.untilNextPoll(begun, signal);
  }
}

/** The first question is not held, and so its answer shows at once that there is a server. */
async function longPoll(lane, signal) {
  await ask(lane, signal, { limit: LIMIT });
  for (;;) await ask(lane, signal, { wait: WAIT, limit: LIMIT });
}

/** One question and its answer; whether there is more to be had at once. */
async function ask(lane, signal, parameters) {
  lane.ask(parameters.wait ? `GET, wait ${parameters.wait} s` : "GET");
  const patience = ANSWER + (parameters.wait ?? 0) * 1000;
  const response = await fetch(lane.url(parameters), { signal: within(patience, signal) });
  if (!response.ok) throw await Refusal.of(response);
  const answer = await response.json();
  // Between the answer's arrival and here the lane may have been dropped; then it is as if it had never come.
  signal.throwIfAborted();
  lane.answered(answer);
  return answer.more;
}

async function sse(lane, signal) {
  lane.ask("GET, text/event-stream");
  const own = new AbortController();
  const watchdog = new Watchdog();
  const expect = (milliseconds) => watchdog.expect(milliseconds, () => own.abort(silent()));
  expect(ANSWER);
  try {
    await read(lane, AbortSignal.any([signal, own.signal]), expect);
  } finally {
    watchdog.rest();
  }
}

/** Reads an event stream to its end, which is a failure. */
async function read(lane, signal, expect) {
  const response = await fetch(lane.url({}), { signal, headers: { Accept: "text/event-stream" } });
  if (!response.ok) throw await Refusal.of(response);
  lane.opened("200, and goes on", "answer");
  for await (const block of blocks(response.body)) {
    signal.throwIfAborted();
    if (block.data === undefined) lane.beat();
    else lane.take(JSON.parse(block.data));
    expect(2 * lane.heartbeat);
  }
  throw new Refusal("the stream ended");
}

/** The blocks of an event stream; one without data is a heartbeat. */
async function* blocks(body) {
  let rest = "";
  for await (const text of chunks(body.pipeThrough(new TextDecoderStream()))) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop();
    yield* parts.map(block);
  }
}

/** Safari cannot iterate over a stream. */
async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Whoever stops reading has no use for the connection; where it broke, there is nothing to cancel.
    reader.cancel().catch(() => {});
  }
}

function block(text) {
  const data = text.split("\n").filter((line) => line.startsWith("data:"));
  return { data: data.length === 0 ? undefined : data.map((line) => line.slice(6)).join("\n") };
}

async function websocket(lane, signal) {
  lane.ask("GET, Upgrade: websocket");
  const url = new URL(lane.url({}), location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  const watchdog = new Watchdog();
  let end;
  const ended = new Promise((_, reject) => (end = reject));
  const leave = () => end(signal.reason);
  signal.addEventListener("abort", leave);
  watchdog.expect(ANSWER, () => end(silent()));
  socket.onopen = () => lane.opened("101, both may speak", "both", socket);
  socket.onmessage = ({ data }) => {
    try {
      lane.take(JSON.parse(data));
    } catch (error) {
      return end(error);
    }
    watchdog.expect(lane.heartbeat, () => ping(lane, watchdog, end));
  };
  socket.onclose = ({ code, reason }) => end(new Refusal(closing(code, reason), { retry: mayReturn(code) }));
  try {
    await ended;
  } finally {
    watchdog.rest();
    signal.removeEventListener("abort", leave);
    close(socket);
  }
}

/** A page does not see the server's pings, so it asks before it gives up. */
function ping(lane, watchdog, end) {
  watchdog.expect(lane.heartbeat, () => end(silent()));
  lane.say({ op: "ping" }, "ping").catch(() => {});
}

/** Lets go of a socket. One that is being opened is closed when it is: before, that would be an error in the console. */
function close(socket) {
  socket.onmessage = socket.onclose = null;
  socket.onopen = () => socket.close(NORMAL);
  if (socket.readyState !== WebSocket.CONNECTING) socket.close(NORMAL);
}

function silent() {
  return new Refusal("the server fell silent");
}

function closing(code, reason) {
  if (code === 1006) return "the connection broke";
  return `the server closed with ${code}${reason && `, ${reason}`}`;
}

/** What the table of close codes says. */
function mayReturn(code) {
  return ![1002, 1003, 1007, 1008, 1009, 4403].includes(code);
}
