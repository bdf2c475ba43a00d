export interface Sending {
  fetch: (request: Request) => Promise<Response>;
  /** Waits so many seconds; ends early, by an error, when the signal does. */
  wait: (seconds: number, signal: AbortSignal) => Promise<void>;
}

const TRIES = 4;
const LONGEST_WAIT_S = 60;

/**
 * Sends a request until it is answered: waits for `Retry-After` on 429 and 5xx, and sends again what
 * was lost on the way where that does no harm. What stays unanswered is the last error or answer.
 */
export async function send(request: Request, { fetch, wait }: Sending): Promise<Response> {
  const again = await mayBeSentAgain(request);
  for (let tried = 1; ; tried++) {
    const last = tried === TRIES;
    const backOff = 0.25 * 2 ** tried * (0.5 + Math.random());
    try {
      const response = await fetch(request.clone());
      const seconds = response.status < 500 && response.status !== 429
        ? undefined
        : (retryAfter(response) ?? (response.status >= 500 && again ? backOff : undefined));
      if (last || seconds === undefined || seconds > LONGEST_WAIT_S) return response;
      await response.body?.cancel();
      await wait(seconds, request.signal);
    } catch (error) {
      if (last || !again || request.signal.aborted) throw error;
      await wait(backOff, request.signal);
    }
  }
}

function retryAfter(response: Response): number | undefined {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return Number.isNaN(seconds) ? undefined : seconds;
}

/** Whether the service takes the request once, however often it comes: POST needs ids of the sender. */
async function mayBeSentAgain(request: Request): Promise<boolean> {
  if (request.method !== "POST") return true;
  if (!request.headers.get("Content-Type")?.startsWith("application/json")) return false;
  const body: unknown = await request.clone().json().catch(() => undefined);
  const lists = Object.values(body ?? {}).filter(Array.isArray);
  return hasId(body) || (lists.length > 0 && lists.every((each) => each.every(hasId)));
}

const hasId = (body: unknown) => typeof body === "object" && body !== null && "id" in body;

export async function wait(seconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      signal.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal.addEventListener("abort", stop, { once: true });
  });
}
