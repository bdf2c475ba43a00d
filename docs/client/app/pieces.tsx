/** Small pieces that several pages use. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { ProblemError, answerOf } from "../src/index.ts";
import { api, isOffline } from "./parley.ts";
import { t } from "./words.ts";

export function Field(props: { label: string; children: ComponentChildren }) {
  return <label class="field"><span>{props.label}</span>{props.children}</label>;
}

/** For `ref`: what the learner types into next. A page's `autofocus` works but once. */
export const focus = (input: HTMLInputElement | null) => input?.focus();

/** What is said to the learner and read aloud by screen readers, also when it changes. */
export const Status = ({ text }: { text: string }) => <p role="status" class="status">{text}</p>;

export const Loading = () => <p role="status" class="loading">…</p>;

/** The words of an error: the service's own where it gave any. */
export function wordsOf(error: unknown): string {
  if (isOffline(error)) return t("needsNetwork");
  if (!(error instanceof ProblemError)) throw error;
  const { problem } = error;
  if (!problem) return error.message;
  const fields = "errors" in problem && problem.errors ? problem.errors.map((one) => `${one.field}: ${one.message}`) : [];
  return fields.join(" ") || problem.detail || problem.title;
}

/** A form that sends what its fields have, and shows what went wrong. */
export function Form(props: {
  send: (data: FormData) => Promise<unknown>;
  label: string;
  children: ComponentChildren;
  title?: string;
}) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    setBusy(true);
    setProblem("");
    try {
      await props.send(new FormData(form));
      form.reset();
    } catch (error) {
      setProblem(wordsOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="card" onSubmit={submit}>
      {props.title && <h2>{props.title}</h2>}
      {props.children}
      {problem && <p role="alert" class="problem">{problem}</p>}
      <button class="main" disabled={busy}>{props.label}</button>
    </form>
  );
}

/** An answer of the service, or what went wrong, and a way to ask for it again. */
export function useAnswer<T>(ask: () => Promise<T>): { answer: T | undefined; problem: string; again: () => void } {
  const [answer, setAnswer] = useState<T>();
  const [problem, setProblem] = useState("");
  const again = () =>
    void ask().then((found) => { setAnswer(() => found); setProblem(""); }, (error) => setProblem(wordsOf(error)));
  useEffect(again, []);
  return { answer, problem, again };
}

let serviceSpeaks = true; // until it says that this stage has no voice

/** Says a text aloud: by the card's own sound, by the service's voice, or else by the browser's. */
export async function speak(text: string, lang: string | null | undefined, audioUrl?: string | null): Promise<void> {
  const url = audioUrl ?? (await recorded(text, lang));
  if (url) return new Audio(url).play().catch(() => {});
  if (!canSpeak()) return;
  const saying = new SpeechSynthesisUtterance(text);
  if (lang) saying.lang = lang;
  speechSynthesis.cancel();
  speechSynthesis.speak(saying);
}
export const canSpeak = () => "speechSynthesis" in window;

async function recorded(text: string, language: string | null | undefined): Promise<string | undefined> {
  if (!language || !serviceSpeaks || !navigator.onLine) return undefined;
  try {
    return (await answerOf(api.POST("/speech", { body: { text, language } }))).url;
  } catch (error) {
    if (error instanceof ProblemError && error.code === "SPEECH_OFF") serviceSpeaks = false;
    return undefined; // the device's own voice will do
  }
}
