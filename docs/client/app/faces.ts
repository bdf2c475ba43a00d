/** The two sides of a card, made of its note. */
import type { Card, Note } from "./parley.ts";

/** `{{c1::answer::hint}}` with no other inside. */
const CLOZE = /\{\{c([\d,]+)::((?:(?!\{\{c\d|\}\}|::).)*)(?:::((?:(?!\{\{c\d|\}\}).)*))?\}\}/gs;

export function faceOf({ ordinal }: Card, note: Note): { front: string; back: string } {
  const { type, front, back } = note;
  if (type === "cloze") {
    const answer = unfold(front);
    return { front: unfold(front, ordinal), back: back ? `${answer}\n\n${back}` : answer };
  }
  return ordinal === 1 ? { front: back, back: front } : { front, back };
}

/** The text with its answers shown, but for those that a card asks for. */
function unfold(text: string, ordinal?: number): string {
  const inner = text.replace(CLOZE, (_, numbers: string, answer: string, hint?: string) =>
    ordinal !== undefined && numbers.split(",").includes(`${ordinal + 1}`) ? `[${hint || "…"}]` : answer,
  );
  return inner === text ? text : unfold(inner, ordinal);
}
