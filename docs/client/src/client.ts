import createClient, { type Client } from "openapi-fetch";

import { alone } from "./locks.ts";
import type { components, paths } from "./schema.d.ts";
import { type Sending, send, wait } from "./send.ts";
import { type Store, memoryStore } from "./store.ts";

export type Schemas = components["schemas"];
export type Tokens = Pick<Schemas["LoggedIn"], "accessToken" | "refreshToken">;
/** The problem document of an error (RFC 9457). Decide by its `code`. */
export type Problem = Schemas[Exclude<Extract<keyof Schemas, `${string}Problem`>, "ItemProblem">];

/** A request that was answered with a problem, or by something on the way that knows no problems. */
export class ProblemError extends Error {
  readonly status: number;
  readonly problem: Problem | undefined;

  constructor(status: number, body: unknown) {
    const problem = typeof body === "object" && body && "code" in body ? (body as Problem) : undefined;
    super(problem ? `${problem.code}: ${problem.detail}` : `HTTP ${status}`);
    this.status = status;
    this.problem = problem;
  }

  get code(): Problem["code"] | undefined {
    return this.problem?.code;
  }
}

export interface Options extends Partial<Sending> {
  baseUrl: string;
  /** Where tokens are kept: `indexedDbStore()` in a browser. */
  store?: Store;
  /** The refresh token has ended: show the sign-in. */
  onSignedOut?: () => void;
}

export interface Parley {
  /** Every operation, typed by its path: `api.GET("/decks")`. */
  api: Client<paths>;
  store: Store;
  signIn(tokens: Tokens): Promise<void>;
  signOut(): Promise<void>;
}

/** Connects to a stage: with tokens, which it refreshes, and with retries. */
export function connect({ baseUrl, store = memoryStore(), onSignedOut, ...how }: Options): Parley {
  const sending: Sending = { fetch: (request) => fetch(request), wait, ...how };
  const tokens = async () => (await store.get("tokens")) as Tokens | undefined;

  /** New tokens in place of those with the stale one; undefined when the learner has to sign in. */
  const refresh = (stale: string): Promise<Tokens | undefined> =>
    alone("parley-refresh", async () => {
      const kept = await tokens();
      if (kept?.accessToken !== stale) return kept; // another tab was first
      const response = await send(jsonRequest(`${baseUrl}/auth/refresh`, kept), sending);
      if (response.ok) {
        // Not every answer has a refresh token: the one there is goes on.
        const fresh = { ...kept, ...dropUndefined((await response.json()) as Tokens) };
        await store.set("tokens", fresh);
        return fresh;
      }
      const error = await problemOf(response);
      if (error.code !== "INVALID_REFRESH_TOKEN") throw error;
      await store.delete("tokens");
      onSignedOut?.();
      return undefined;
    });

  const authorized = async (request: Request): Promise<Response> => {
    const kept = await tokens();
    const response = await send(withToken(request, kept), sending);
    if (!kept || response.status !== 401) return response;
    if ((await problemOf(response.clone())).code !== "NOT_AUTHENTICATED") return response;
    const fresh = await refresh(kept.accessToken);
    return fresh ? send(withToken(request, fresh), sending) : response;
  };

  return {
    api: createClient<paths>({ baseUrl, fetch: authorized }),
    store,
    signIn: ({ accessToken, refreshToken }) => store.set("tokens", { accessToken, refreshToken }),
    signOut: () => store.delete("tokens"),
  };
}

/** What a call answers. Throws ProblemError for everything but a success. */
export async function answerOf<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw new ProblemError(response.status, error);
  return data as T;
}

/** The same body with an id of its own, so that it may be sent again. */
export function withId<const T extends object>(body: T): T & { id: string } {
  return { id: crypto.randomUUID(), ...body };
}

/** Each item of a list, page by page: `for await (const deck of each((cursor) => api.GET(…)))`. */
export async function* each<T>(
  page: (cursor: string | undefined) => Promise<{
    data?: { results: T[]; next: string | null };
    error?: unknown;
    response: Response;
  }>,
): AsyncGenerator<T, void> {
  let cursor: string | undefined;
  do {
    const { results, next } = await answerOf(page(cursor));
    yield* results;
    cursor = next ? (new URL(next).searchParams.get("cursor") ?? undefined) : undefined;
  } while (cursor);
}

function withToken(request: Request, tokens: Tokens | undefined): Request {
  const copy = request.clone();
  if (tokens) copy.headers.set("Authorization", `Bearer ${tokens.accessToken}`);
  return copy;
}

function jsonRequest(url: string, { refreshToken }: Tokens): Request {
  const headers = { "Content-Type": "application/json" };
  return new Request(url, { method: "POST", headers, body: JSON.stringify({ refreshToken }) });
}

async function problemOf(response: Response): Promise<ProblemError> {
  return new ProblemError(response.status, await response.json().catch(() => undefined));
}

function dropUndefined({ accessToken, refreshToken }: Tokens): Partial<Tokens> {
  return refreshToken ? { accessToken, refreshToken } : { accessToken };
}
