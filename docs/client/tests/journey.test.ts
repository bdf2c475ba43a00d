/** A learner's whole way with a running service: `make client` starts one and sets PARLEY_URL. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { TOTP } from "otpauth";

import { type Schemas, answerOf, changes, connect, each, flush, keep, withId } from "../src/index.ts";

const baseUrl = process.env["PARLEY_URL"] ?? "http://127.0.0.1:8000";
const root = fileURLToPath(new URL("../../..", import.meta.url));
const email = `ana-${crypto.randomUUID()}@example.org`;
const password = "corvo-azul-7";

/** The code of the newest mail, which a local run keeps. */
function mailedCode(): string {
  const command = [`${root}/manage.py`, "outbox", email, "--code"];
  return execFileSync(`${root}/.venv/bin/python`, command, { cwd: root, encoding: "utf8" }).trim();
}

/** A new code of the app; each is taken once, so the next sign-in uses that of the next half-minute. */
const codeOf = (secret: string, later = 0) =>
  new TOTP({ secret }).generate({ timestamp: Date.now() + later * 30_000 });

test("a learner signs up, studies offline, syncs, converses and is reminded", async () => {
  const parley = connect({ baseUrl });
  const { api } = parley;

  // Sign up, and turn the second step on.
  const registered = await answerOf(
    api.POST("/auth/signup", { body: { email, password, firstName: "Ana", lastName: "Prado" } }),
  );
  await answerOf(
    api.POST("/auth/verify-email", {
      body: { email, code: mailedCode(), verificationToken: registered.verificationToken },
    }),
  );
  const first = await answerOf(api.POST("/auth/login", { body: { email, password } }));
  assert.ok("refreshToken" in first);
  await parley.signIn(first);
  const { secret } = await answerOf(api.POST("/auth/mfa/setup", { body: { password } }));
  await answerOf(api.POST("/auth/mfa/verify-setup", { body: { code: codeOf(secret) } }));
  await parley.signOut();
  const asked = await answerOf(api.POST("/auth/login", { body: { email, password } }));
  assert.ok("mfaRequired" in asked);
  const { sessionToken } = asked;
  const signedIn = await answerOf(
    api.POST("/auth/mfa/verify", { body: { sessionToken, code: codeOf(secret, 1) } }),
  );
  await parley.signIn(signedIn);

  // The access token ends; nobody notices.
  await parley.signIn({ ...signedIn, accessToken: signedIn.accessToken.slice(0, -4) + "AAAA" });
  const profile = await answerOf(api.GET("/profile"));
  assert.equal(profile.firstName, "Ana");

  // A deck, and the same again where the answer was lost: one deck.
  const body = withId({ name: "Português", targetLanguage: "pt-PT" });
  const deck = await answerOf(api.POST("/decks", { body }));
  assert.deepEqual(await answerOf(api.POST("/decks", { body })), deck);

  // Offline: two cards are made and studied, and sent later.
  const offline = connect({
    baseUrl,
    store: parley.store,
    wait: async () => {},
    fetch: async () => Promise.reject(new TypeError("fetch failed")),
  });
  const cards = ["casa", "mesa"].map((front) => ({ id: crypto.randomUUID(), front }));
  for (const { id, front } of cards) {
    const data = { deckId: deck.id, front, back: `the ${front}` };
    await keep(offline, { change: { kind: "card", verb: "create", id, data } });
  }
  for (const { id } of cards) {
    const entry = { id: crypto.randomUUID(), cardId: id, reviewedAt: new Date().toISOString() };
    await keep(offline, { review: { ...entry, kind: "review", rating: "good" } });
  }
  assert.deepEqual(await flush(offline), { outcomes: [], offline: true });
  const { outcomes } = await flush(parley);
  assert.deepEqual(outcomes.map(({ status }) => status), ["applied", "applied", "applied", "applied"]);

  // Another device learns of all of it, and then of what changes.
  const phone = connect({ baseUrl });
  await phone.signIn(signedIn);
  const things = new Map<string, Schemas["Change"]>();
  const sync = async () => {
    for await (const { reset, results } of changes(phone)) {
      if (reset) things.clear();
      for (const change of results) things.set(`${change.kind} ${change.key}`, change);
    }
  };
  await sync();
  assert.equal([...things.values()].filter(({ kind }) => kind === "card").length, 2);
  assert.equal([...things.values()].filter(({ kind }) => kind === "review").length, 2);
  await answerOf(api.PATCH("/decks/{id}", { params: { path: { id: deck.id } }, body: { name: "PT" } }));
  await sync();
  const told = things.get(`deck ${deck.id}`);
  assert.equal(told?.kind === "deck" && told.data?.name, "PT");
  const lost = await api.PATCH("/decks/{id}", {
    params: { path: { id: deck.id }, header: { "If-Match": `"${deck.version}"` } },
    body: { name: "Lost" },
  });
  assert.equal(lost.error?.code, "PRECONDITION_FAILED");

  // A conversation, and a card of what was said.
  let scenario: Schemas["Summary"] | undefined;
  for await (const one of each((cursor) =>
    api.GET("/scenarios", { params: { query: { language: "en", limit: 5, ...(cursor && { cursor }) } } }),
  )) {
    scenario ??= one;
  }
  assert.ok(scenario);
  const session = await answerOf(
    api.POST("/sessions", { body: withId({ scenarioId: scenario.id }) }),
  );
  const path = { id: session.id };
  const { turn } = await answerOf(
    api.POST("/sessions/{id}/turns", { params: { path }, body: withId({ text: "Hello there" }) }),
  );
  assert.ok(turn.reply);
  const phrase = { deckId: deck.id, turn: turn.number, front: "Hello there", back: "Olá" };
  await answerOf(api.POST("/sessions/{id}/flashcards", { params: { path }, body: withId(phrase) }));
  const completed = await answerOf(api.POST("/sessions/{id}/complete", { params: { path } }));
  assert.ok(completed.scores);

  // A reminder, which the list has.
  const at = new Date(Date.now() + 86_400_000).toISOString();
  const reminder = await answerOf(
    api.POST("/reminders", { body: withId({ kind: "once", title: "Ligar à Inês", at }) }),
  );
  const reminders = [];
  for await (const one of each((cursor) =>
    api.GET("/reminders", { params: { query: cursor ? { cursor } : {} } }),
  )) {
    reminders.push(one.id);
  }
  assert.ok(reminders.includes(reminder.id));
});
