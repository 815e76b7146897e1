// How to do from a shell what a lane does.

const BEGIN = {
  poll: "curl",
  "long-poll": "curl -H 'Prefer: wait=30'",
  sse: "curl -N -H 'Accept: text/event-stream'",
  // Any curl can: those before 8.11 do not know ws:// by themselves.
  websocket:
    "curl -N -o - -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13'" +
    " -H 'Sec-WebSocket-Key: Rm91cmNhc3QsIDQgd2F5cw=='",
};

/** The line that asks for `channel` by a way. A long poll without a place would be answered with what is kept. */
export function curlLine(way, channel) {
  const url = new URL(`/${channel}`, location.href);
  if (way === "long-poll") url.searchParams.set("after", "now");
  return `${BEGIN[way]} '${url}'`;
}
