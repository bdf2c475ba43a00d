import { useState } from "preact/hooks";

import { type Schemas, answerOf, withId } from "../src/index.ts";
import { api, remembered } from "./parley.ts";
import { Field, Form, Loading, useAnswer, wordsOf } from "./pieces.tsx";
import { instant, t } from "./words.ts";

type Reminder = Schemas["Reminder"];
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];

export function Reminders() {
  const [failure, setFailure] = useState("");
  const { answer, problem, again } = useAnswer(() => remembered("reminders", () => api.GET("/reminders")));
  const make = async (body: Schemas["NewReminderRequest"]) => {
    await answerOf(api.POST("/reminders", { body: withId(body) }));
    again();
  };
  const daily = (data: FormData) =>
    make({ kind: "study", weekdays: EVERY_DAY, localTime: String(data.get("time")) });
  const once = (data: FormData) =>
    make({ kind: "once", title: String(data.get("title")), at: new Date(String(data.get("at"))).toISOString() });
  const remove = (id: string) =>
    answerOf(api.DELETE("/reminders/{id}", { params: { path: { id } } })).then(again, (error) => setFailure(wordsOf(error)));
  return (
    <>
      {(problem || failure) && <p role="alert" class="problem">{problem || failure}</p>}
      {!answer && !problem && <Loading />}
      {answer?.results.length === 0 && <p>{t("noReminders")}</p>}
      <ul class="rows">
        {answer?.results.map((one) => (
          <li key={one.id} class="row">
            <div><b>{nameOf(one)}</b> {one.nextAt && <span class="soft">{t("next", { when: instant(one.nextAt) })}</span>}</div>
            <button onClick={() => remove(one.id)} aria-label={`${t("remove")}: ${nameOf(one)}`}>{t("remove")}</button>
          </li>
        ))}
      </ul>
      <div class="columns">
        <Form title={t("remindDaily")} label={t("save")} send={daily}>
          <Field label={t("at")}><input type="time" name="time" required defaultValue="18:00" /></Field>
        </Form>
        <Form title={t("remindOnce")} label={t("save")} send={once}>
          <Field label={t("title")}><input name="title" required maxLength={200} /></Field>
          <Field label={t("when")}><input type="datetime-local" name="at" required /></Field>
        </Form>
      </div>
    </>
  );
}

function nameOf({ kind, title, localTime }: Reminder): string {
  const kinds: Partial<Record<Reminder["kind"], string>> = {
    study: t("study"), event: t("event"), report: t("report"), streak: t("streak"),
  };
  return [title || (kinds[kind] ?? kind), localTime].filter(Boolean).join(", ");
}
