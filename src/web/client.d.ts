// What client.js exports, and what each member is. Times are in milliseconds unless they say otherwise.

/** A way of receiving. */
export type Transport = "websocket" | "sse" | "long-poll" | "poll";

/** Channels and patterns: a path, a list in one path (`/rooms/42,alerts`), or several of them. */
export type Channels = string | readonly string[];

export interface FourcastOptions {
  /** Where to begin: behind a cursor, with the oldest event kept, or with what comes next, which is the default. */
  after?: "earliest" | "now" | (string & {});
  /** Begin with the last so many events of each channel. */
  last?: number;
  /** Begin with the events since a time, or since so long ago (`"10m"`). A number is Unix time. */
  since?: Date | number | string;
  /**
   * A token, or what gives one: called for each connection and each request, and so again when a token was refused
   * (401). It has 30 seconds. Sent as `Authorization: Bearer`, and as `?access_token=` by WebSocket, which has no
   * headers: mind what a proxy writes into its log.
   */
  token?: string | (() => string | Promise<string>);
  /**
   * The ways, in the order in which they are tried. Default: all, WebSocket first, polls last. WebSocket alone sees no
   * refusals: browsers do not tell them, so it comes back for ever.
   */
  transports?: readonly Transport[];
  /** The time between two polls: 3000. */
  pollInterval?: number;
  /** How long a WebSocket or a stream has to show that it gets through: 5000. */
  timeout?: number;
  /** Whether cookies go to another origin, for a proxy there; only pages of the server's `origins` may send them. */
  withCredentials?: boolean;
}

/**
 * An event, dispatched under its own type: one that was published without a type goes to `onmessage`.
 *
 * `data` is what EventSource has: what was published, as text. `value` is the same for a program, so that what one
 * page publishes, another finds in `value`. JSON is read as JavaScript does: numbers beyond 2^53 are rounded.
 */
export interface FourcastEvent<T = unknown> extends MessageEvent<string | Uint8Array> {
  /** The payload: text as it is, JSON as its text, bytes as bytes. */
  readonly data: string | Uint8Array;
  /** The payload: JSON parsed, text as a string, bytes as a Uint8Array. */
  readonly value: T;
  /** Names the event, and is a cursor. The same as `lastEventId`. */
  readonly id: string;
  readonly lastEventId: string;
  /** Where it was published, such as `rooms/42`. */
  readonly channel: string;
  /** When the server took it: milliseconds since 1970. */
  readonly time: number;
  /** The media type, where it says more than the form of `value`. */
  readonly contentType?: string;
}

/** Events that were owed and are gone. Read the state of things anew; delivery goes on behind `cursor`. */
export interface FourcastGapEvent extends Event {
  readonly reason: "retention" | "deleted" | "epoch" | "overtaken" | "unknown" | (string & {});
  /** The cursor that was given, or null where the server could not read it. */
  readonly from: string | null;
  readonly cursor: string;
}

/**
 * The connection was lost, and is coming back (`readyState` is CONNECTING); or the server said no for good (CLOSED);
 * or it refused channels of `subscribe`, and all others go on (`readyState` as before).
 */
export interface FourcastErrorEvent extends Event {
  /** What happened, for people. */
  readonly detail: string;
  /** The refusal's name, such as `bad_channel`, or a close code; `token` where `token` failed. */
  readonly code?: string | number;
  /** The status of a refusal. */
  readonly status?: number;
}

/** Why `publish` failed. */
export interface FourcastError extends Error {
  readonly code?: string | number;
  readonly status?: number;
  /** Whether the same may succeed later. */
  readonly retry?: boolean;
}

export interface PublishOptions {
  /** The channel; may be left out where one channel is followed. */
  channel?: string;
  /** The event's type: `message` if not given. */
  type?: string;
  /** How long the event is owed to those who come later: seconds, or with a unit (`"10m"`). */
  ttl?: number | string;
  /** The idempotency key: a random one if not given. */
  key?: string;
}

export interface Receipt {
  readonly id: string;
  readonly channel: string;
  /** When the server took it, where the answer says so: not by WebSocket. */
  readonly time?: number;
}

interface FourcastEventMap<T> {
  open: Event;
  message: FourcastEvent<T>;
  error: FourcastErrorEvent;
  gap: FourcastGapEvent;
}

type Listener<E> = ((event: E) => void) | { handleEvent(event: E): void } | null;

/** Follows channels as EventSource does, by whichever way gets through. */
export default class Fourcast<T = unknown> extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSED: 2;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;

  /**
   * Begins to connect. A bare path means the server that served this module; in a bundle, the page's own. The first
   * of the channels may be a full URL, and all are of that server: its whole path names channels, so a server behind a
   * prefix is reached by bare paths from the module that it serves. Without channels it waits for `subscribe`.
   *
   * @throws {TypeError} when there is no such URL
   * @throws {URIError} when its percent-encoding is broken
   */
  constructor(channels?: Channels | URL, options?: FourcastOptions);

  /** What is followed, as a URL. */
  readonly url: string;
  readonly withCredentials: boolean;
  readonly readyState: 0 | 1 | 2;
  /** The cursor behind everything that was handed out: keep it, and give it as `after`. Empty before there is one. */
  readonly lastEventId: string;
  /** The way that is used, or tried. */
  readonly transport: Transport;

  onopen: ((this: this, event: Event) => void) | null;
  /** Events of the type `message`; those of other types have listeners of their own, as with EventSource. */
  onmessage: ((this: this, event: FourcastEvent<T>) => void) | null;
  onerror: ((this: this, event: FourcastErrorEvent) => void) | null;
  ongap: ((this: this, event: FourcastGapEvent) => void) | null;

  /** Ends it for good. */
  close(): void;

  /**
   * Publishes one event: strings as text, ArrayBuffers, their views and Blobs as bytes, everything else as JSON. It is
   * sent again when the connection breaks, and is one event nevertheless, also when `close` is called meanwhile. Events
   * are in order for sure where each waits for the one before.
   *
   * Rejects with a `FourcastError` when the server refuses, or cannot be reached five times.
   */
  publish(data: unknown, options?: PublishOptions): Promise<Receipt>;

  /**
   * Follows more channels on the same connection: from now on, or behind a cursor or `earliest`. Channels that are
   * followed already go on as they are, and of those that a pattern brought, what is older than its last event does not
   * come. A refusal is an `error` event.
   *
   * @throws {FourcastError} when no URL can name them all: beyond 6,000 characters, or where `..` would lead elsewhere
   */
  subscribe(channels: Channels, options?: { after?: "earliest" | "now" | (string & {}) }): void;

  /** Follows channels and patterns no longer, named as when they were added. What is under way still comes. */
  unsubscribe(channels: Channels): void;

  addEventListener<K extends keyof FourcastEventMap<T>>(
    type: K,
    listener: Listener<FourcastEventMap<T>[K]>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: Listener<FourcastEvent<T>>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof FourcastEventMap<T>>(
    type: K,
    listener: Listener<FourcastEventMap<T>[K]>,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: Listener<FourcastEvent<T>>,
    options?: boolean | EventListenerOptions,
  ): void;
}
