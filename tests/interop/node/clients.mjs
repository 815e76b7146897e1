// Node's clients against the server at $FOURCAST_URL: npm's ws and eventsource, and Node's own fetch. Each
// receives in order, loses its connection, and resumes with its cursor: nothing lost, nothing twice.

import assert from "node:assert/strict";
import { on, once } from "node:events";
import { EventSource } from "eventsource";
import { WebSocket } from "ws";
import { droppingProxy } from "./dropping_proxy.mjs";

const MILLISECONDS = 15_000;
const WHOLE_RUN_MILLISECONDS = 180_000;
const SERVER = new URL(process.env.FOURCAST_URL);
const FIRST = range(0, 100);
const SECOND = range(100, 200);

const CHECKS = [
  ws_resumes_with_its_cursor,
  ws_gets_binary_and_text_in_raw_form,
  ws_is_pinged_and_closed_with_its_code,
  eventsource_resumes_by_itself,
  fetch_long_poll_resumes,
  fetch_reads_a_stream_of_ndjson,
];

async function ws_resumes_with_its_cursor(channel, proxy) {
  let cursor = await head(channel);
  let socket = await openWebSocket(proxy.port, `${channel}?after=${cursor}`);
  await publish(channel, FIRST);
  const before = await take(socket.messages, FIRST.length);
  const closed = once(socket, "close", deadline());
  proxy.drop();
  assert.equal((await closed)[0], 1006);

  await publish(channel, SECOND.slice(0, 50));
  cursor = before.at(-1).id;
  socket = await openWebSocket(proxy.port, `${channel}?after=${cursor}`);
  await publish(channel, SECOND.slice(50));
  const after = await take(socket.messages, SECOND.length);
  socket.close();
  expectInOrder([...before, ...after], [...FIRST, ...SECOND]);
}

async function ws_gets_binary_and_text_in_raw_form(channel) {
  const socket = await openWebSocket(SERVER.port, `${channel}?format=raw`);
  for (const sent of ["grüß dich", Buffer.from([0xff, 0x00])]) {
    const message = once(socket, "message", deadline());
    socket.send(sent);
    const [data, isBinary] = await message;
    assert.equal(isBinary, typeof sent !== "string");
    assert.deepEqual(data, Buffer.from(sent));
  }
  socket.close();
}

async function ws_is_pinged_and_closed_with_its_code(channel) {
  const socket = await openWebSocket(SERVER.port, channel);
  const pong = once(socket, "pong", deadline());
  socket.ping("are you there");
  assert.equal((await pong)[0].toString(), "are you there");
  const closed = once(socket, "close", deadline());
  socket.close(1000, "done");
  assert.equal((await closed)[0], 1000);
}

async function eventsource_resumes_by_itself(channel, proxy) {
  const source = new EventSource(`http://127.0.0.1:${proxy.port}/${channel}`);
  const messages = collect(source, "message");
  const welcome = await next(collect(source, "welcome"));
  assert.equal(JSON.parse(welcome.data).op, "welcome");
  await publish(channel, FIRST);
  const before = await takeBlocks(messages, FIRST.length);

  const failed = once(source, "error", deadline());
  proxy.drop();
  await failed;
  await publish(channel, SECOND);
  const after = await takeBlocks(messages, SECOND.length);
  source.close();
  expectInOrder([...before, ...after], [...FIRST, ...SECOND]);
}

async function fetch_long_poll_resumes(channel, proxy) {
  const url = `http://127.0.0.1:${proxy.port}/${channel}`;
  let cursor = await head(channel);
  const events = [];
  let dropped = false;
  const published = publish(channel, [...FIRST, ...SECOND]);
  while (events.length < FIRST.length + SECOND.length) {
    const request = fetch(`${url}?after=${cursor}`, { headers: { Prefer: "wait=5" }, ...deadline() });
    if (!dropped && events.length > 20) {
      dropped = true;
      proxy.drop();
    }
    const page = await request.then((answer) => answer.json()).catch(connectionLost);
    assert.equal(page.gap, undefined);
    events.push(...page.events);
    cursor = page.cursor ?? cursor;
  }
  await published;
  assert(dropped);
  expectInOrder(events, [...FIRST, ...SECOND]);
}

async function fetch_reads_a_stream_of_ndjson(channel, proxy) {
  const abort = new AbortController();
  const headers = { Accept: "application/x-ndjson" };
  const signal = AbortSignal.any([abort.signal, deadline().signal]);
  const answer = await fetch(`http://127.0.0.1:${proxy.port}/${channel}`, { headers, signal });
  const messages = lines(answer.body);
  assert.equal((await messages.next()).value.op, "welcome");
  await publish(channel, FIRST);
  const events = [];
  while (events.length < FIRST.length) {
    const { value } = await messages.next();
    if (value.op === undefined) events.push(value);
  }
  abort.abort();
  expectInOrder(events, FIRST);
}

// --- what the checks are made of ---

async function main() {
  // Whatever hangs in spite of the deadlines ends the run.
  const overtime = setTimeout(() => {
    console.error(`not done after ${WHOLE_RUN_MILLISECONDS} ms`);
    process.exit(1);
  }, WHOLE_RUN_MILLISECONDS);
  let failed = 0;
  for (const check of CHECKS) {
    const proxy = await droppingProxy({ host: SERVER.hostname, port: Number(SERVER.port) });
    try {
      await check(`node-${process.pid}/${check.name}`, proxy);
      console.log(`ok      ${check.name}`);
    } catch (error) {
      console.error(error);
      console.log(`FAILED  ${check.name}`);
      failed += 1;
    } finally {
      proxy.close();
    }
  }
  clearTimeout(overtime);
  console.log(`node: ${CHECKS.length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

/** An open WebSocket; `messages` collects its parsed text messages from the first on. */
async function openWebSocket(port, path) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${path}`);
  socket.messages = on(socket, "message", { ...deadline(), close: ["close"] });
  socket.on("error", () => {});
  await once(socket, "open", deadline());
  return socket;
}

async function take(messages, count) {
  const events = [];
  while (events.length < count) {
    const { value, done } = await messages.next();
    assert(!done, `the connection ended after ${events.length} of ${count} events`);
    const message = JSON.parse(value[0]);
    if (message.op === undefined) events.push(message);
    else assert.equal(message.op, "welcome");
  }
  return events;
}

/** The blocks of one type, kept until they are asked for. */
function collect(source, type) {
  const kept = { blocks: [], wake: () => {} };
  source.addEventListener(type, (block) => {
    kept.blocks.push(block);
    kept.wake();
  });
  return kept;
}

async function next(kept) {
  if (kept.blocks.length === 0) {
    await new Promise((resolve, reject) => {
      kept.wake = resolve;
      setTimeout(() => reject(new Error("no block in time")), MILLISECONDS).unref();
    });
  }
  return kept.blocks.shift();
}

async function takeBlocks(kept, count) {
  const events = [];
  while (events.length < count) {
    const block = await next(kept);
    const event = JSON.parse(block.data);
    assert.equal(block.lastEventId, event.id);
    events.push(event);
  }
  return events;
}

async function* lines(body) {
  let rest = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + chunk).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

/** The cursor of now. */
async function head(channel) {
  const answer = await fetch(new URL(`/${channel}?after=now`, SERVER), deadline());
  return (await answer.json()).cursor;
}

/** Publishes the numbers, each with a request of its own. */
async function publish(channel, numbers) {
  const headers = { "Content-Type": "application/json" };
  for (const n of numbers) {
    const body = JSON.stringify({ n });
    const answer = await fetch(new URL(`/${channel}`, SERVER), { method: "POST", headers, body, ...deadline() });
    assert.equal(answer.status, 201);
    await answer.arrayBuffer();
  }
}

/** What a long poll makes of a connection that was reset: nothing new. Anything else is thrown on. */
function connectionLost(error) {
  if (!(error instanceof TypeError)) throw error;
  return { events: [] };
}

function expectInOrder(events, numbers) {
  assert.deepEqual(events.map((event) => event.data.n), numbers);
  const places = events.map((event) => Number(event.id.split("-")[1]));
  assert(places.every((place, i) => i === 0 || place > places[i - 1]), `not ascending: ${places}`);
}

function deadline() {
  return { signal: AbortSignal.timeout(MILLISECONDS) };
}

function range(from, to) {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

await main();
