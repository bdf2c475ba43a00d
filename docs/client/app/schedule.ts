/**
 * What is to study, and where an answer would take a card: found out here, so that it works offline.
 * The service does the same with the learner's limits and a fuzz of its own, and has the last word:
 * the intervals shown are near, not exact.
 */
import { type Card as Memory, Rating as Grade, State, type StepUnit, fsrs } from "ts-fsrs";

import type { Card, Rating, Schemas } from "./parley.ts";
import { cards, decks, profile, reviews, scheduler } from "./things.ts";

export const RATINGS = ["again", "hard", "good", "easy"] as const satisfies Rating[];
const STATES = ["new", "learning", "review", "relearning"] as const satisfies Schemas["CardState"][];
const GRADES = [Grade.Again, Grade.Hard, Grade.Good, Grade.Easy] as const;
const DAY_MS = 86_400_000;

/** The learner's own day of an instant: their zone, and a day that may start at four. */
export const dayOf = (at: Date) => dayByLearner()(at);

/** The same for many instants: thousands of cards may be due, and a calendar takes time to make. */
function dayByLearner(): (at: Date) => string {
  const startsAtMs = (scheduler()?.dayStartsAtHour ?? 4) * 3_600_000;
  const calendar = new Intl.DateTimeFormat("sv", { timeZone: profile()?.timezone ?? "UTC" });
  return (at) => calendar.format(at.getTime() - startsAtMs);
}

export interface Queue {
  cards: Card[];
  counts: { learning: number; review: number; new: number };
  /** When the next card in learning comes back, if that is all there is to wait for. */
  nextAt: string | undefined;
}

/** The cards to study now, of one deck or of all: those in learning, then reviews, then new ones. */
export function dueNow(deckId: string | undefined, now: Date): Queue {
  const settings = scheduler();
  const dayOf = dayByLearner();
  const today = dayOf(now);
  const known = cards();
  const done = doneOn(today, known);
  const active = known.filter(
    ({ suspended, buriedUntil, deckId: of }) =>
      !suspended && !(buriedUntil && new Date(buriedUntil) > now) && (!deckId || of === deckId),
  );
  const notes = new Set(done.notes);
  const firstOfNote = ({ noteId }: Card) => !settings?.burySiblings || !(notes.has(noteId) || !notes.add(noteId));
  const inSteps = active.filter(({ state }) => state === "learning" || state === "relearning").sort(byDue);
  const learning = inSteps.filter(({ dueAt }) => new Date(dueAt) <= now);
  const tomorrow = new Date(now.getTime() + DAY_MS);
  const review = active
    .filter(({ state, dueAt }) => state === "review" && new Date(dueAt) < tomorrow && dayOf(new Date(dueAt)) <= today)
    .sort(byDue)
    .filter(firstOfNote)
    .slice(0, Math.max(0, (settings?.reviewsPerDay ?? 200) - done.reviewed));
  const fresh = active
    .filter(({ state }) => state === "new")
    .sort(byDue)
    .filter(firstOfNote)
    .slice(0, Math.max(0, (settings?.newCardsPerDay ?? 20) - done.introduced));
  return {
    cards: [...learning, ...review, ...fresh],
    counts: { learning: learning.length, review: review.length, new: fresh.length },
    nextAt: inSteps.find(({ dueAt }) => new Date(dueAt) > now)?.dueAt,
  };
}

const byDue = (one: Card, other: Card) => one.dueAt.localeCompare(other.dueAt);

/** What was studied on a day: new cards are those of which all reviews are of that day. */
function doneOn(today: string, known: Card[]): { introduced: number; reviewed: number; notes: string[] } {
  const log = reviews();
  const undone = new Set(log.map(({ targetId }) => targetId));
  const times = new Map<string, number>();
  for (const { id, cardId, kind, studiedOn } of log) {
    if (kind !== "review" || studiedOn !== today || undone.has(id)) continue;
    times.set(cardId, (times.get(cardId) ?? 0) + 1);
  }
  const studied = known.filter(({ id }) => times.has(id));
  const introduced = studied.filter(({ id, reps }) => times.get(id) === reps).length;
  const inReview = studied.filter(({ state }) => state === "review" || state === "new");
  return { introduced, reviewed: studied.length - introduced, notes: inReview.map(({ noteId }) => noteId) };
}

/** The card after each of the four answers. */
export function answers(card: Card, now: Date): Record<Rating, Card> {
  const settings = scheduler();
  const deck = decks().find(({ id }) => id === card.deckId);
  const retention = deck?.desiredRetention ?? settings?.desiredRetention;
  const rules = fsrs({
    ...(settings && {
      w: settings.weights,
      maximum_interval: settings.maximumIntervalDays,
      learning_steps: settings.learningSteps.map(step),
      relearning_steps: settings.relearningSteps.map(step),
    }),
    ...(retention && { request_retention: retention }),
    enable_fuzz: false,
  });
  const memory: Memory = {
    due: new Date(card.dueAt),
    stability: card.stability ?? 0,
    difficulty: card.difficulty ?? 0,
    elapsed_days: 0,
    scheduled_days: card.intervalDays,
    learning_steps: card.step ?? 0,
    reps: card.reps,
    lapses: card.lapses,
    state: STATES.indexOf(card.state) as State,
    ...(card.lastReviewAt && { last_review: new Date(card.lastReviewAt) }),
  };
  const after = GRADES.map((grade) => rules.next(memory, now, grade).card);
  return Object.fromEntries(
    after.map((next, number) => [RATINGS[number], { ...card, ...asCard(next) }]),
  ) as Record<Rating, Card>;
}

const step = (seconds: number): StepUnit => `${Math.max(1, Math.round(seconds / 60))}m`;

function asCard(memory: Memory): Partial<Card> {
  const state = STATES[memory.state];
  return {
    ...(state && { state }),
    step: state === "review" ? null : memory.learning_steps,
    stability: memory.stability,
    difficulty: memory.difficulty,
    dueAt: memory.due.toISOString(),
    intervalDays: memory.scheduled_days,
    lastReviewAt: memory.last_review?.toISOString() ?? null,
    reps: memory.reps,
    lapses: memory.lapses,
  };
}
