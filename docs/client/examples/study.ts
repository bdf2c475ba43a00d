/**
 * A study session in the terminal. Beside `make run`:
 *
 *     node examples/study.ts            # signs in as the demo learner
 */
import { createInterface } from "node:readline/promises";

import { answerOf, connect, flush, keep } from "../src/index.ts";

const { PARLEY_URL = "http://127.0.0.1:8000" } = process.env;
const { PARLEY_EMAIL = "learner@parley.example", PARLEY_PASSWORD = "parley-demo-1" } = process.env;
const RATINGS = { 1: "again", 2: "hard", 3: "good", 4: "easy" } as const;

const parley = connect({ baseUrl: PARLEY_URL });
const login = { email: PARLEY_EMAIL, password: PARLEY_PASSWORD };
const answer = await answerOf(parley.api.POST("/auth/login", { body: login }));
if (!("refreshToken" in answer)) throw new Error("This account has a second step: see /docs");
await parley.signIn(answer);

const terminal = createInterface({ input: process.stdin, output: process.stdout });
const lines = terminal[Symbol.asyncIterator]();
async function ask(question: string): Promise<string | undefined> {
  process.stdout.write(question);
  return (await lines.next()).value;
}

const { results, counts } = await answerOf(parley.api.GET("/flashcards/due"));
console.log(`${counts.learning + counts.review + counts.new} cards to study`);
for (const { card, answers } of results) {
  if ((await ask(`\n${card.front}  [Enter]`)) === undefined) break;
  const due = Object.entries(RATINGS).map(([key, rating]) => `${key} ${rating}: ${answers[rating].dueAt}`);
  const key = await ask(`${card.back}\n${due.join("\n")}\n> `);
  const rating = RATINGS[Number(key) as keyof typeof RATINGS];
  if (!rating) break;
  const entry = { id: crypto.randomUUID(), cardId: card.id, reviewedAt: new Date().toISOString() };
  await keep(parley, { review: { ...entry, kind: "review", rating } });
  const { outcomes, offline } = await flush(parley);
  console.log(offline ? "Kept until you are online" : outcomes.map(({ status }) => status).join());
}
terminal.close();
