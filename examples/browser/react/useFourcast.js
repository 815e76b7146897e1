// A hook: the last events of a channel, and what else a component wants to know.

import Fourcast from "fourcast-client";
import { useEffect, useState } from "react";

/** `options` are those of `new Fourcast`, and count when the channels change; `keep` events are kept. */
export function useFourcast(channel, { keep = 100, ...options } = {}) {
  const [state, setState] = useState({ events: [], isOpen: false, isGap: false });
  useEffect(() => {
    const fourcast = new Fourcast(channel, options);
    const change = (part) => setState((state) => ({ ...state, ...part(state) }));
    setState({ events: [], isOpen: false, isGap: false, fourcast });
    fourcast.onopen = () => change(() => ({ isOpen: true }));
    // A channel that is refused leaves the others open.
    fourcast.onerror = () => change(() => ({ isOpen: fourcast.readyState === Fourcast.OPEN }));
    fourcast.ongap = () => change(() => ({ isGap: true }));
    fourcast.onmessage = (event) => change(({ events }) => ({ events: [...events, event].slice(-keep) }));
    return () => fourcast.close();
  }, [String(channel)]);
  return state;
}
