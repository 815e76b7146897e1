// A TCP proxy that drops its connections on demand, so that clients are seen to resume.

import net from "node:net";
import { once } from "node:events";

/** Listens on a free port of 127.0.0.1 and passes every byte on to `server`, both ways. */
export async function droppingProxy(server) {
  const open = new Set();
  const listener = net.createServer((client) => {
    const onward = net.connect(server);
    const pair = [client, onward];
    open.add(pair);
    client.pipe(onward);
    onward.pipe(client);
    for (const end of pair) {
      end.on("error", () => reset(pair));
      end.on("close", () => open.delete(pair));
    }
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const drop = () => open.forEach(reset);
  return {
    port: listener.address().port,
    /** Resets every connection, as a failing network would. */
    drop,
    /** Drops every connection and takes no more. */
    close() {
      listener.close();
      drop();
    },
  };
}

function reset(pair) {
  for (const end of pair) if (!end.destroyed) end.resetAndDestroy();
}
