/**
 * The learner's things on this device: cards, decks, settings, and the newest of the study log. All
 * tabs have the same ones; `sync()` makes them those of the service.
 */
import { useEffect, useState } from "preact/hooks";

import { type Outcome, type Schemas, type Sent, answerOf, changes, flush, keep, queued } from "../src/index.ts";
import { alone } from "../src/locks.ts";
import { type Card, api, isOffline, isSignedIn, parley, store } from "./parley.ts";

type Change = Schemas["Change"];

const KINDS = new Set(["card", "deck", "note", "profile", "review", "scheduler"]);
const REVIEWS_KEPT_MS = 2 * 86_400_000; // the day's limits need no older ones
const SYNC_AFTER_MS = 1500; // time to undo, and for the next answer to go with this one

const things = new Map<string, Change>();
const channel = new BroadcastChannel("parley-things");
export const state = { offline: false, syncing: false, waiting: 0, refused: 0, failed: false };
let listeners: (() => void)[] = [];
const tell = () => listeners.forEach((listener) => listener());

/** Draws a component anew whenever a thing or the state of the sync changes. */
export function useThings(): void {
  const [, redraw] = useState(0);
  useEffect(() => {
    const listener = () => redraw((count) => count + 1);
    listeners.push(listener);
    return () => void (listeners = listeners.filter((one) => one !== listener));
  }, []);
}

const nameOf = ({ kind, key }: Pick<Change, "kind" | "key">) => `${kind} ${key}`;
const all = <T>(dataOf: (thing: Change) => T | null): T[] => [...things.values()].flatMap((thing) => dataOf(thing) ?? []);
const cardIn = (thing: Change | undefined) => (thing?.kind === "card" ? thing.data : null);

export const cards = () => all(cardIn);
export const decks = () =>
  all((thing) => (thing.kind === "deck" ? thing.data : null)).sort((one, other) => one.name.localeCompare(other.name));
export const reviews = () => all((thing) => (thing.kind === "review" ? thing.data : null));
export function noteOf({ noteId }: Card) {
  const thing = things.get(`note ${noteId}`);
  return thing?.kind === "note" ? thing.data : null;
}
/** The settings in force: earlier versions are told as well. */
export const scheduler = () =>
  all((thing) => (thing.kind === "scheduler" ? thing.data : null)).reduce<Schemas["Scheduler"] | undefined>(
    (one, other) => (one && one.version > other.version ? one : other),
    undefined,
  );
export const profile = () => all((thing) => (thing.kind === "profile" ? thing.data : null))[0];

// --- On the disk, where all tabs read it ----------------------------------------------------------

const opened = new Promise<IDBDatabase>((resolve, reject) => {
  const request = indexedDB.open("parley-things", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("things");
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function inStore<T>(mode: IDBTransactionMode, act: (kept: IDBObjectStore) => T): Promise<T> {
  const transaction = (await opened).transaction("things", mode);
  const result = act(transaction.objectStore("things"));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Reads what this device has. */
export async function load(): Promise<void> {
  const all = await inStore("readonly", (kept) => kept.getAll());
  for (const thing of all.result as Change[]) things.set(nameOf(thing), thing);
  await count();
}

/** Stores changes as one, and shows them in every tab. */
async function take(results: Change[]): Promise<void> {
  const oldest = new Date(Date.now() - REVIEWS_KEPT_MS).toISOString();
  const isWanted = (thing: Change) =>
    KINDS.has(thing.kind) && !(thing.kind === "review" && thing.data && thing.data.reviewedAt < oldest);
  const wanted = results.filter(isWanted).map(withDeck);
  await inStore("readwrite", (kept) => {
    for (const thing of wanted) {
      if (thing.deleted) kept.delete(nameOf(thing));
      else kept.put(thing, nameOf(thing));
    }
  });
  show(wanted);
  channel.postMessage(wanted);
}

/** Of a card that came with a review the deck is not told: it is where it was. */
function withDeck(thing: Change): Change {
  if (thing.kind !== "card" || !thing.data || thing.data.deckId) return thing;
  const deckId = cardIn(things.get(nameOf(thing)))?.deckId ?? null;
  return { ...thing, data: { ...thing.data, deckId } };
}

function show(changed: Change[]): void {
  for (const thing of changed) {
    if (thing.deleted) things.delete(nameOf(thing));
    else things.set(nameOf(thing), thing);
  }
  void count();
}

async function count(): Promise<void> {
  state.waiting = (await queued(parley)).length;
  tell();
}

channel.onmessage = ({ data }: MessageEvent<Change[] | "signed out">) =>
  data === "signed out" ? location.reload() : show(data);

// --- What the learner does ------------------------------------------------------------------------

/** Does something here and now, in all tabs; the service learns of it with the next sync. */
export async function act(sent: Sent, ...shown: Change[]): Promise<void> {
  await keep(parley, sent);
  await take(shown);
  syncSoon();
}

/** What a change shows: a thing as it now is. Of what is gone there is no data. */
export const seen = { deleted: false, expiresAt: null } as const;
export const gone = { deleted: true, expiresAt: null, data: null } as const;

let timer: ReturnType<typeof setTimeout> | undefined;
export function syncSoon(afterMs = SYNC_AFTER_MS): void {
  clearTimeout(timer);
  timer = setTimeout(() => void sync(), afterMs);
}

/** Sends what waits, then takes over what has changed elsewhere; one tab at a time. */
export async function sync(): Promise<void> {
  if (!(await isSignedIn())) return;
  Object.assign(state, { syncing: true, failed: false, offline: !navigator.onLine });
  tell();
  try {
    if (navigator.onLine) await alone("parley-sync", exchange);
  } catch (error) {
    state.offline = isOffline(error);
    state.failed = !state.offline;
    if (state.failed) console.warn(error);
  }
  state.syncing = false;
  await count();
  if (state.waiting && !state.offline && !state.failed) syncSoon();
}

async function exchange(): Promise<void> {
  const { outcomes, offline } = await flush(parley);
  state.offline = offline;
  if (offline) return;
  const refused = outcomes.filter(wasRefused).length;
  state.refused += refused;
  if (refused) await store.delete("since"); // what was shown here never came to be: take all anew
  for await (const { reset, results } of changes(parley)) {
    // What was done here since the sending is newer than the answer, which does not know of it.
    const newer = new Set((await queued(parley)).flatMap(thingsOf));
    const gone = reset ? [...things.values()].map((thing) => ({ ...thing, deleted: true })) : [];
    await take([...gone, ...results].filter((change) => !newer.has(nameOf(change))));
  }
  if (scheduler()) return;
  const data = await answerOf(api.GET("/scheduler")); // nothing is told of defaults
  await take([{ kind: "scheduler", key: "", ...seen, data }]);
}

const wasRefused = ({ status }: Outcome) => status === "rejected" || status === "conflict";
const thingsOf = ({ review, change }: Sent) =>
  review ? [`card ${review.cardId}`] : [`card ${change.id}`, `note ${change.id}`, `deck ${change.id}`];

/** Keeps a device in step: at each start, when the network or the learner is back, each minute. */
export function keepInStep(): void {
  addEventListener("online", () => syncSoon(0));
  addEventListener("offline", () => void sync());
  document.addEventListener("visibilitychange", () => document.hidden || syncSoon(0));
  setInterval(() => document.hidden || syncSoon(0), 60_000);
  syncSoon(0);
}

// --- Whose things they are ------------------------------------------------------------------------

/** Begins with the things of a learner; those of another one are forgotten first. */
export async function signIn(answer: Schemas["LoggedIn"]): Promise<void> {
  if ((await store.get("learner")) !== answer.user.userId) await forget();
  await store.set("learner", answer.user.userId);
  await parley.signIn(answer);
}

/** Ends the session, and forgets everything that this device knows. */
export async function signOut(): Promise<void> {
  const tokens = (await store.get("tokens")) as { refreshToken: string } | undefined;
  if (tokens && navigator.onLine) {
    await parley.api.POST("/auth/logout", { body: { refreshToken: tokens.refreshToken } }).catch(() => {});
  }
  await forget();
  channel.postMessage("signed out");
  location.reload();
}

async function forget(): Promise<void> {
  for (const key of await store.keys("")) await store.delete(key);
  await inStore("readwrite", (kept) => kept.clear());
  things.clear();
}
