// A composable: the events of a channel so far, and what else a component wants to know.

import Fourcast from "fourcast";
import { markRaw, onScopeDispose, ref, shallowRef } from "vue";

/** `options` are those of `new Fourcast`. */
export function useFourcast(channel, options) {
  const events = shallowRef([]);
  const isOpen = ref(false);
  const isGap = ref(false);
  // A proxy of it would have no access to its private members.
  const fourcast = markRaw(new Fourcast(channel, options));
  fourcast.onopen = () => (isOpen.value = true);
  fourcast.onerror = () => (isOpen.value = false);
  fourcast.ongap = () => (isGap.value = true);
  fourcast.onmessage = (event) => (events.value = [...events.value, event]);
  onScopeDispose(() => fourcast.close());
  return { events, isOpen, isGap, fourcast };
}
