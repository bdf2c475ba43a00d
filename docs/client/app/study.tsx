import { useEffect, useRef, useState } from "preact/hooks";

import { faceOf } from "./faces.ts";
import type { Card, Rating } from "./parley.ts";
import { Status, canSpeak, speak } from "./pieces.tsx";
import { RATINGS, answers, dayOf, dueNow } from "./schedule.ts";
import { act, decks, gone, noteOf, scheduler, seen, state, useThings } from "./things.ts";
import { distance, instant, t } from "./words.ts";

/** What this tab has answered, the newest last: the card as it was, and the entry to undo. */
const answered: { card: Card; entryId: string }[] = [];

const shownCard = (card: Card) => ({ kind: "card", key: card.id, ...seen, data: card }) as const;

async function answer(card: Card, rating: Rating, after: Card, startedAt: number, now: Date): Promise<void> {
  const entry = { id: crypto.randomUUID(), cardId: card.id, reviewedAt: now.toISOString(), kind: "review", rating } as const;
  const durationMs = Math.min(Date.now() - startedAt, 600_000);
  const line = { ...entry, durationMs, studiedOn: dayOf(now), dueAt: null, targetId: null };
  answered.push({ card, entryId: entry.id });
  await act(
    { review: { ...entry, durationMs } },
    shownCard(after),
    { kind: "review", key: `${card.id}#${entry.id}`, ...seen, data: line },
  );
}

async function undo(): Promise<string | undefined> {
  const last = answered.pop();
  if (!last) return undefined;
  const { card, entryId: targetId } = last;
  const entry = { id: crypto.randomUUID(), cardId: card.id, reviewedAt: new Date().toISOString() };
  await act(
    { review: { ...entry, kind: "void", targetId } },
    shownCard(card),
    { kind: "review", key: `${card.id}#${targetId}`, ...gone },
  );
  return card.id;
}

export function Study() {
  useThings();
  const [deckId, setDeckId] = useState("");
  const [current, setCurrent] = useState<string>();
  const [revealed, setRevealed] = useState(false);
  const [said, setSaid] = useState("");
  const [now, setNow] = useState(() => new Date());
  const startedAt = useRef(Date.now());

  const queue = dueNow(deckId || undefined, now);
  // The card stays while another tab or a sync changes the rest, unless it was answered there.
  const card = queue.cards.find(({ id }) => id === current) ?? queue.cards[0];
  const note = card && noteOf(card);
  const face = card && note && faceOf(card, note);
  const deck = decks().find(({ id }) => id === card?.deckId);
  const isFrontForeign = note?.type === "cloze" || card?.ordinal !== 1;
  const langs = isFrontForeign ? [deck?.targetLanguage, deck?.nativeLanguage] : [deck?.nativeLanguage, deck?.targetLanguage];
  const after = card && revealed ? answers(card, now) : undefined;

  const turnTo = (id: string | undefined) => {
    setCurrent(id);
    setRevealed(false);
    setNow(new Date());
    startedAt.current = Date.now();
  };
  useEffect(() => turnTo(card?.id), [card?.id]);
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), 15_000); // cards in learning come back
    return () => clearInterval(timer);
  }, []);

  const reveal = () => { setNow(new Date()); setRevealed(true); setSaid(""); };
  const rate = (rating: Rating) => {
    if (!card || !after) return;
    void answer(card, rating, after[rating], startedAt.current, now);
    turnTo(undefined);
  };
  const takeBack = async () => {
    const id = await undo();
    if (!id) return;
    turnTo(id);
    setSaid(t("undone"));
  };
  const sayIt = () => {
    const word = isFrontForeign ? face?.front : face?.back;
    if (word && (isFrontForeign || revealed)) void speak(word, deck?.targetLanguage, note?.audioUrl);
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const rating = RATINGS[Number(event.key) - 1];
      const isOnButton = event.target instanceof Element && event.target.closest("button, a");
      if (rating && revealed) rate(rating);
      else if (event.key === " " && !isOnButton && card && !revealed) reveal();
      else if (event.key.toLowerCase() === "u") void takeBack();
      else if (event.key.toLowerCase() === "s") sayIt();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });

  return (
    <>
      <div class="row">
        <label class="field"><span>{t("deck")}</span>
          <select value={deckId} onChange={(event) => { setDeckId(event.currentTarget.value); turnTo(undefined); }}>
            <option value="">{t("allDecks")}</option>
            {decks().map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
          </select>
        </label>
        <p class="soft" id="counts">{t("left", queue.counts)}</p>
      </div>
      {card && face ? (
        <article class="card flash" data-card={card.id}>
          <section aria-label={t("question")}>
            <p class="side" lang={langs[0] ?? undefined}>{face.front}</p>
            {note.imageUrl && <img src={note.imageUrl} alt="" />}
          </section>
          {revealed && (
            <section class="answer" aria-label={t("answer")} aria-live="polite">
              <p class="side" lang={langs[1] ?? undefined}>{face.back}</p>
              {note.phonetic && <p class="soft">{note.phonetic}</p>}
              {note.example && <p lang={deck?.targetLanguage ?? undefined}>{note.example}</p>}
              {note.notes && <p class="soft">{note.notes}</p>}
            </section>
          )}
        </article>
      ) : (
        <p class="card flash" id="done">
          {state.syncing && !scheduler() ? t("syncing")
            : queue.nextAt ? t("doneUntil", { when: instant(queue.nextAt) })
            : t("done")}
        </p>
      )}
      {card && !revealed && <button class="main wide" onClick={reveal}>{t("show")}</button>}
      {after && (
        <div class="ratings">
          {RATINGS.map((rating, number) => (
            <button key={rating} class={rating} onClick={() => rate(rating)}>
              <b>{number + 1} {t(rating)}</b>
              <span>≈ {distance(new Date(after[rating].dueAt).getTime() - now.getTime())}</span>
            </button>
          ))}
        </div>
      )}
      <div class="row">
        <button onClick={takeBack} disabled={answered.length === 0}>{t("undo")}</button>
        {card && (canSpeak() || note?.audioUrl) && <button onClick={sayIt}>{t("speak")}</button>}
      </div>
      <Status text={said} />
      <p class="soft keys">{t("keys")}</p>
    </>
  );
}
