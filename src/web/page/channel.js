// The name of the channel: in the URL's fragment, so that a link leads to it, or chosen at random.

/** As the server has it: 1 to 8 segments, 255 bytes at most. */
const SEGMENT = "[A-Za-z0-9_.~:@-]+";
const NAME = new RegExp(`^${SEGMENT}(/${SEGMENT}){0,7}$`);
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";

/** Why `name` cannot be a channel, in words; "" if it can. */
export function fault(name) {
  const segments = name.split("/");
  if (segments[0] === "-") return "The first segment - belongs to Fourcast.";
  if (segments.some((segment) => segment === "." || segment === "..")) return "A segment cannot be . or ..";
  if (NAME.test(name) && name.length <= 255) return "";
  return "A channel is 1 to 8 segments of A-Z a-z 0-9 _ . ~ : @ - joined by /.";
}

/** What the URL names; a random one, so that two visitors do not meet by accident, if it names none. */
export function named() {
  const name = decoded(location.hash.slice(1));
  if (name && fault(name) === "") return name;
  return `demo/${random(6)}`;
}

/** Puts it into the URL, without a step in the history. */
export function show(name) {
  history.replaceState(null, "", `#${name}`);
}

/** So many letters and digits that nobody can guess. */
export function random(length) {
  const values = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(values, (value) => LETTERS[value % LETTERS.length]).join("");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
