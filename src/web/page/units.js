// Figures as people read them.

/** Milliseconds: "0.8 ms", "12 ms", "1.4 s". */
export function duration(milliseconds) {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Bytes: "812 B", "1.4 kB", "23.0 MB". */
export function bytes(count) {
  if (count < 999.5) return `${Math.round(count)} B`;
  if (count < 999_500) return `${(count / 1000).toFixed(count < 99_950 ? 1 : 0)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

/** A number of things, with its thousands apart. */
export function number(count) {
  return count.toLocaleString("en");
}
