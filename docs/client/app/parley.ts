/** The connection to the service, and what the app remembers of its answers. */
import { type Schemas, answerOf, connect, indexedDbStore } from "../src/index.ts";

export const parley = connect({
  baseUrl: location.origin,
  store: indexedDbStore(),
  onSignedOut: () => location.reload(),
});
export const { api, store } = parley;

export const isSignedIn = async () => (await store.get("tokens")) !== undefined;

/** Whether an error only says that there is no network. */
export const isOffline = (error: unknown) => error instanceof TypeError;

/** An answer, or without a network the last one that there was. */
export async function remembered<T>(
  name: string,
  call: () => Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const key = `answer/${name}`;
  try {
    const answer = await answerOf(call());
    await store.set(key, answer);
    return answer;
  } catch (error) {
    const kept = isOffline(error) ? await store.get(key) : undefined;
    if (kept === undefined) throw error;
    return kept as T;
  }
}

/** A card as it is scheduled; its words stand in its note. */
export type Card = Schemas["ScheduledCard"];
export type Note = Schemas["Note"];
export type Deck = Schemas["Deck"];
export type Rating = Schemas["RatingEnum"];
export type { Schemas };
