import { type Parley, ProblemError, type Schemas, answerOf } from "./client.ts";
import { alone } from "./locks.ts";

export type Sent =
  | { review: Schemas["NewEntryRequest"]; change?: never }
  | { change: Schemas["OfflineChangeRequest"]; review?: never };
export type Outcome = Schemas["EntryOutcome"] | Schemas["OfflineResult"];

const QUEUE = "queue/";
const BATCH = 100; // what one request takes
const LEAST = 100; // changes of a page
let count = 0;

/** Keeps what was studied or edited until the service has it. Returns once it is stored here. */
export async function keep({ store }: Parley, sent: Sent): Promise<void> {
  const order = `${Date.now().toString(36).padStart(9, "0")}-${(count++).toString(36).padStart(6, "0")}`;
  await store.set(`${QUEUE}${order}-${crypto.randomUUID()}`, sent);
}

/** How much waits to be sent. */
export async function waiting({ store }: Parley): Promise<number> {
  return (await store.keys(QUEUE)).length;
}

/** What waits to be sent, the first first. What another tab sends meanwhile is left out. */
export async function queued({ store }: Parley): Promise<Sent[]> {
  const sent = await Promise.all((await store.keys(QUEUE)).map((key) => store.get(key)));
  return sent.filter((one) => one !== undefined) as Sent[];
}

/**
 * Sends what waits, in order, one tab at a time, and tells what became of each. What was sent is
 * forgotten, also where it was rejected or met a conflict: show that to the learner. While the
 * network is away it all stays; `offline` says so.
 */
export async function flush(parley: Parley): Promise<{ outcomes: Outcome[]; offline: boolean }> {
  return alone("parley-queue", async () => {
    const outcomes: Outcome[] = [];
    try {
      for (let batch = await next(parley); batch.length > 0; batch = await next(parley)) {
        outcomes.push(...(await deliver(parley, batch.map(({ sent }) => sent))));
        for (const { key } of batch) await parley.store.delete(key);
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what fetch throws without a network
      return { outcomes, offline: true };
    }
    return { outcomes, offline: false };
  });
}

/** The first of what waits, as far as one request takes it. */
async function next({ store }: Parley): Promise<{ key: string; sent: Sent }[]> {
  const batch: { key: string; sent: Sent }[] = [];
  for (const key of (await store.keys(QUEUE)).slice(0, BATCH)) {
    const sent = (await store.get(key)) as Sent;
    if (batch[0] && "review" in batch[0].sent !== "review" in sent) break;
    batch.push({ key, sent });
  }
  return batch;
}

async function deliver({ api }: Parley, batch: Sent[]): Promise<Outcome[]> {
  const reviews = batch.flatMap(({ review }) => (review ? [review] : []));
  const changes = batch.flatMap(({ change }) => (change ? [change] : []));
  const call = reviews.length
    ? api.POST("/reviews", { body: { reviews } })
    : api.POST("/changes", { body: { changes } });
  return (await answerOf<{ results: Outcome[] }>(call)).results;
}

/**
 * What has changed since the last time, page by page. The place is kept once a page has been taken
 * over, so a page that was not comes again. `reset` means: forget what came before. A service that
 * is too busy for a whole page is asked for half of it.
 */
export async function* changes(
  { api, store }: Parley,
  limit = 2500,
): AsyncGenerator<{ reset: boolean; results: Schemas["Change"][] }, void> {
  for (let more = true; more; ) {
    const since = (await store.get("since")) as string | undefined;
    try {
      const query = { limit, ...(since && { since }) };
      const page = await answerOf(api.GET("/changes", { params: { query } }));
      yield { reset: !since, results: page.results };
      await store.set("since", page.cursor);
      more = page.more;
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      if (error.code === "CHANGES_GONE" && since) await store.delete("since");
      else if (error.status === 504 && limit > LEAST) limit = Math.max(LEAST, Math.floor(limit / 2));
      else throw error;
    }
  }
}
