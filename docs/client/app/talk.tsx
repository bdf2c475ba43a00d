import { useEffect, useRef, useState } from "preact/hooks";

import { type Schemas, answerOf, withId } from "../src/index.ts";
import { api, remembered } from "./parley.ts";
import { Field, Form, Loading, Status, canSpeak, speak, useAnswer, wordsOf } from "./pieces.tsx";
import { decks, syncSoon } from "./things.ts";
import { t } from "./words.ts";

type Session = Schemas["SessionDetail"];

export function Talk() {
  const [session, setSession] = useState<Session>();
  return session
    ? <Conversation session={session} show={setSession} />
    : <Scenarios begin={setSession} />;
}

function Scenarios({ begin }: { begin: (session: Session) => void }) {
  const query = { limit: 100 };
  const { answer, problem } = useAnswer(() =>
    remembered("scenarios", () => api.GET("/scenarios", { params: { query } })),
  );
  const [said, setSaid] = useState("");
  const start = (scenarioId: string) =>
    answerOf(api.POST("/sessions", { body: withId({ scenarioId }) })).then(begin, (error) => setSaid(wordsOf(error)));
  return (
    <>
      {(problem || said) && <p role="alert" class="problem">{problem || said}</p>}
      {!answer && !problem && <Loading />}
      <ul class="rows">
        {answer?.results.map(({ id, title, description, level, language }) => (
          <li key={id} class="row">
            <div><h2 lang={language}>{title}</h2><p class="soft">{level} · {language} · <span lang={language}>{description}</span></p></div>
            <button onClick={() => start(id)} aria-label={`${t("begin")}: ${title}`}>{t("begin")}</button>
          </li>
        ))}
      </ul>
    </>
  );
}

function Conversation({ session, show }: { session: Session; show: (session: Session | undefined) => void }) {
  const [said, setSaid] = useState("");
  const end = useRef<HTMLDivElement>(null);
  const { id, language, partnerRole, goals, scores } = session;
  const params = { path: { id } };
  const reached = new Set(session.turns.flatMap((turn) => turn.goals));
  useEffect(() => end.current?.scrollIntoView({ block: "nearest" }), [session.turns.length]);

  const sayLine = async (data: FormData) => {
    const body = withId({ text: String(data.get("text")) });
    const added = await answerOf(api.POST("/sessions/{id}/turns", { params, body }));
    show({ ...session, ...added.session, turns: [...session.turns, added.turn] });
    setSaid("");
  };
  const attempt = (act: () => Promise<void>) => () => void act().catch((error) => setSaid(wordsOf(error)));
  const hint = attempt(async () => setSaid((await answerOf(api.POST("/sessions/{id}/hint", { params }))).hint));
  const finish = attempt(async () => show(await answerOf(api.POST("/sessions/{id}/complete", { params }))));
  const toCard = ({ note }: Schemas["Correction"]) => attempt(async () => {
    const deck = decks().find(({ targetLanguage }) => targetLanguage?.startsWith(language)) ?? decks()[0];
    if (!deck) return setSaid(t("noDeck"));
    await answerOf(api.POST("/notes", { body: withId({ ...note, deckId: deck.id }) }));
    setSaid(t("made"));
    syncSoon(0);
  });

  const line = (text: string) => (
    <div class="line partner" lang={language}>
      <b>{partnerRole.name}</b> {text}
      {canSpeak() && <button class="small" onClick={() => void speak(text, language)} aria-label={`${t("speak")}: ${text}`}>♪</button>}
    </div>
  );
  return (
    <>
      <p><button onClick={() => show(undefined)}>{t("back_")}</button></p>
      <h2 lang={language}>{session.title}</h2>
      <h3>{t("goals")}</h3>
      <ul lang={language}>
        {goals.map((goal) => <li key={goal.id}>{goal.text} {reached.has(goal.id) && <span class="good" lang={undefined}>✓ {t("reached")}</span>}</li>)}
      </ul>
      <div class="card" role="log">
        {line(session.opening)}
        {session.turns.map((turn) => (
          <div key={turn.id}>
            <div class="line" lang={language}><b>{t("you")}</b> {turn.text}</div>
            {turn.corrections.map((one) => (
              <div class="correction" key={one.said}>
                <p><b>{t("better")}</b> <del lang={language}>{one.said}</del> → <ins lang={language}>{one.better}</ins></p>
                <p class="soft" lang={language}>{one.why}</p>
                <button onClick={toCard(one)} aria-label={`${t("makeCard")}: ${one.better}`}>{t("makeCard")}</button>
              </div>
            ))}
            {line(turn.reply)}
          </div>
        ))}
        <div ref={end} />
      </div>
      <Status text={said} />
      {session.status === "active" && !session.ended && (
        <Form send={sayLine} label={t("say")}>
          <Field label={t("yourLine")}><input name="text" required lang={language} autoComplete="off" maxLength={1000} /></Field>
        </Form>
      )}
      {session.status === "active" && <div class="row"><button onClick={hint}>{t("hint")}</button><button onClick={finish}>{t("finish")}</button></div>}
      {scores && (
        <dl class="figures" aria-label={t("scores")}>
          {(["vocabulary", "grammar", "fluency", "task", "goals"] as const).map((name) => <div key={name}><dt>{t(name)}</dt><dd>{scores[name].value ?? "–"}</dd></div>)}
        </dl>
      )}
    </>
  );
}
