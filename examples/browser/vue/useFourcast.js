// A composable: the last events of a channel, and what else a component wants to know.

import Fourcast from "fourcast-client";
import { markRaw, onScopeDispose, ref, shallowRef } from "vue";

/** `options` are those of `new Fourcast`; `keep` events are kept. `transport` is empty while there is no connection. */
export function useFourcast(channel, { keep = 100, ...options } = {}) {
  const events = shallowRef([]);
  const transport = ref("");
  const isGap = ref(false);
  // A proxy of it would have no access to its private members.
  const fourcast = markRaw(new Fourcast(channel, options));
  fourcast.onopen = () => (transport.value = fourcast.transport);
  // A channel that is refused leaves the others open.
  fourcast.onerror = () => (transport.value = fourcast.readyState === Fourcast.OPEN ? fourcast.transport : "");
  fourcast.ongap = () => (isGap.value = true);
  fourcast.onmessage = (event) => {
    events.value = [...events.value, event].slice(-keep);
    // It may have found a better way meanwhile.
    transport.value = fourcast.transport;
  };
  onScopeDispose(() => fourcast.close());
  return { events, transport, isGap, fourcast };
}
