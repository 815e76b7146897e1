// A server of a test's own that answers as the test says, for what Fourcast does not do by itself.

import { once } from "node:events";
import http from "node:http";

/** `answer(request, response, number)` answers a request: the first, the second and so on; upgrades are refused. */
export async function stub(t, answer) {
  const requests = [];
  const server = http.createServer((request, response) => {
    const { method, url, headers } = request;
    response.setHeader("Access-Control-Allow-Origin", "*");
    response.setHeader("Access-Control-Allow-Headers", "authorization, content-type, idempotency-key");
    response.setHeader("Access-Control-Expose-Headers", "Retry-After");
    if (method === "OPTIONS") return response.writeHead(204).end();
    requests.push({ method, url, headers, at: performance.now() });
    answer(request, response, requests.length);
  });
  server.on("upgrade", ({ method, url, headers }, socket) => {
    requests.push({ method, url, headers, isUpgrade: true });
    socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** Begins an event stream, whose welcome is the first block. */
export function beginStream(response, { cursor = "stub-0", heartbeat = 25_000 } = {}) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(`event: welcome\ndata: {"op":"welcome","cursor":"${cursor}","heartbeat_ms":${heartbeat}}\n\n`);
}

/** Answers as a refusal does. */
export function refuse(response, status, { headers, ...problem }) {
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ status, ...problem }));
}

/** An event as it travels. */
export const event = (number, data) =>
  JSON.stringify({ id: `stub-${number}`, channel: "stub", type: "message", time: 1, data });
