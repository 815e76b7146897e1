// Compiled, never run: how the module is used by whoever has types.

import Fourcast, { type FourcastEvent, type Receipt } from "fourcast-client";

interface Message {
  text: string;
}

const events = new Fourcast<Message>(["/rooms/42", "alerts"], {
  after: "earliest",
  token: async () => "secret",
  transports: ["sse", "long-poll"],
});
events.onmessage = ({ value, channel, lastEventId }) => console.log(value.text.length, channel.length, lastEventId.length);
events.onerror = ({ detail, status }) => console.log(detail.length, status?.toFixed());
events.ongap = ({ reason, from }) => console.log(reason.length, from?.length);
events.addEventListener("said", (event: FourcastEvent<Message>) => console.log(event.value.text));
events.addEventListener("gap", (event) => console.log(event.cursor), { once: true });
events.subscribe("/more", { after: events.lastEventId });
events.unsubscribe(["/more"]);
const receipt: Receipt = await events.publish(new Uint8Array(1), { channel: "a", ttl: "10m" });
console.log(receipt.id, events.readyState === Fourcast.OPEN);

// @ts-expect-error: it is read, not set
events.readyState = 1;
// @ts-expect-error: there is no such way
new Fourcast("/a", { transports: ["pigeon"] });
