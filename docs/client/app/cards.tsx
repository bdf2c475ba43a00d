import { useState } from "preact/hooks";

import { type Schemas, answerOf, withId } from "../src/index.ts";
import { type Card, type Deck, type Note, api } from "./parley.ts";
import { Field, Form, Status } from "./pieces.tsx";
import { act, cards, decks, seen, syncSoon, useThings } from "./things.ts";
import { t } from "./words.ts";

/** A new card, here at once and offline too. Its note has the same id. */
async function addCard(data: FormData): Promise<string> {
  const words = { deckId: String(data.get("deck")), front: String(data.get("front")), back: String(data.get("back")) };
  const { id } = withId({});
  const now = new Date().toISOString();
  const note: Note = {
    id, type: "basic", ...words, phonetic: null, example: null, notes: null, tags: [],
    audioUrl: null, imageUrl: null, audioId: null, imageId: null, sourceSessionId: null, sourceTurn: null,
    createdAt: now, updatedAt: now, version: 1,
  };
  const card: Card = {
    id, noteId: id, ordinal: 0, deckId: words.deckId, state: "new", step: null, stability: null,
    difficulty: null, dueAt: now, intervalDays: 0, lastReviewAt: null, reps: 0, lapses: 0,
    suspended: false, suspendedBy: null, leech: false, buriedUntil: null,
  };
  await act(
    { change: { kind: "card", verb: "create", id, data: words } },
    { kind: "note", key: id, ...seen, data: note },
    { kind: "card", key: id, ...seen, data: card },
  );
  return words.front;
}

async function addDeck(data: FormData): Promise<void> {
  const targetLanguage = String(data.get("language")).trim() || null;
  const words = { name: String(data.get("name")), targetLanguage };
  const now = new Date().toISOString();
  const deck: Deck = {
    ...withId(words), description: "", nativeLanguage: null, newCardsPerDay: null, reviewsPerDay: null,
    desiredRetention: null, createdAt: now, updatedAt: now, version: 1,
  };
  await act(
    { change: { kind: "deck", verb: "create", id: deck.id, data: words } },
    { kind: "deck", key: deck.id, ...seen, data: deck },
  );
}

/** Sends a file until an answer has no `nextOffset`, and adds the answers up. */
async function importFile(data: FormData, told: (imported: number) => void): Promise<Schemas["Report"]> {
  const sum = { imported: 0, updated: 0, skipped: 0, failed: 0, errors: [] as Schemas["RowError"][] };
  for (let offset: number | null = 0; offset !== null; ) {
    data.set("offset", String(offset));
    const body = data as unknown as Schemas["ImportFileRequest"]; // openapi-fetch sends a form as it is
    const report: Schemas["Report"] = await answerOf(api.POST("/flashcards/import", { body }));
    for (const name of ["imported", "updated", "skipped", "failed"] as const) sum[name] += report[name];
    sum.errors.push(...report.errors);
    offset = report.nextOffset;
    told(sum.imported);
  }
  syncSoon(0);
  return { ...sum, nextOffset: null, preview: null };
}

export function Cards() {
  useThings();
  const [said, setSaid] = useState("");
  const [errors, setErrors] = useState<Schemas["RowError"][]>([]);
  const own = decks();
  const count = new Map<string | null, number>();
  for (const { deckId } of cards()) count.set(deckId, (count.get(deckId) ?? 0) + 1);
  const lang = own[0]?.targetLanguage ?? undefined;

  const choice = (name: string) => (
    <Field label={t("deck")}>
      <select name={name} required>{own.map(({ id, name: label }) => <option key={id} value={id}>{label}</option>)}</select>
    </Field>
  );
  const bring = async (data: FormData) => {
    setErrors([]);
    const report = await importFile(data, (n) => setSaid(t("importing", { n })));
    const { imported, updated, skipped, failed } = report;
    setSaid(t("imported", { imported, updated, skipped, failed }));
    setErrors(report.errors);
  };
  return (
    <>
      <ul class="rows">
        {own.map(({ id, name }) => <li key={id}><b>{name}</b> <span class="soft">{t("cardCount", { n: count.get(id) ?? 0 })}</span></li>)}
      </ul>
      <Status text={said} />
      {errors.length > 0 && <ul class="problem">{errors.map((one, number) => <li key={number}>{t("row", { row: one.row })}: {one.message}</li>)}</ul>}
      <div class="columns">
        {own.length > 0 ? (
          <>
            <Form title={t("addCard")} label={t("add")} send={async (data) => setSaid(t("added", { front: await addCard(data) }))}>
              {choice("deck")}
              <Field label={t("front")}><input name="front" required lang={lang} maxLength={500} /></Field>
              <Field label={t("back")}><input name="back" required maxLength={500} /></Field>
            </Form>
            <Form title={t("importFile")} label={t("import")} send={bring}>
              {choice("deckId")}
              <Field label={t("file")}><input name="file" type="file" required accept=".csv,.tsv,.txt,.json,.apkg,.colpkg" /></Field>
            </Form>
          </>
        ) : <p>{t("noDeck")}</p>}
        <Form title={t("newDeck")} label={t("add")} send={addDeck}>
          <Field label={t("name")}><input name="name" required maxLength={100} /></Field>
          <Field label={t("languageOfDeck")}><input name="language" maxLength={35} autoCapitalize="none" /></Field>
        </Form>
      </div>
    </>
  );
}
