import { useState } from "preact/hooks";

import { type Schemas, answerOf } from "../src/index.ts";
import { api } from "./parley.ts";
import { Field, Form, focus } from "./pieces.tsx";
import { signIn } from "./things.ts";
import { t } from "./words.ts";

type Step = Exclude<Schemas["LoginAnswer"], Schemas["LoggedIn"]> | Schemas["MailedCode"];

/** The sign-in: by password, and a second step where the account has one, or by a mailed code. */
export function SignIn({ done }: { done: () => void }) {
  const [step, setStep] = useState<Step>();
  const [byMail, setByMail] = useState(false);
  const goOn = async (answer: Schemas["LoginAnswer"] | Schemas["FirstPasswordAnswer"]) => {
    if (!("accessToken" in answer)) return setStep(answer);
    await signIn(answer);
    done();
  };
  const login = async (data: FormData) => {
    const body = { email: String(data.get("email")), password: String(data.get("password")) };
    await goOn(await answerOf(api.POST("/auth/login", { body })));
  };
  const verify = async (data: FormData) => {
    const body = { sessionToken: step!.sessionToken, code: String(data.get("code")).trim() };
    await goOn(await answerOf(api.POST("/auth/mfa/verify", { body })));
  };
  const mail = async (data: FormData) =>
    setStep(await answerOf(api.POST("/auth/login/code", { body: { email: String(data.get("email")) } })));
  const verifyMailed = async (data: FormData) => {
    const body = { sessionToken: step!.sessionToken, code: String(data.get("code")).trim() };
    await goOn(await answerOf(api.POST("/auth/login/code/verify", { body })));
  };
  const renew = async (data: FormData) => {
    const body = { sessionToken: step!.sessionToken, newPassword: String(data.get("password")) };
    await goOn(await answerOf(api.POST("/auth/login/new-password", { body })));
  };
  return (
    <main id="content" class="narrow" tabIndex={-1}>
      <h1>Parley</h1>
      {!step && byMail && (
        <Form key="mail" send={mail} label={t("mailCode")}>
          <Field label={t("email")}><input name="email" type="email" autoComplete="username" required ref={focus} /></Field>
        </Form>
      )}
      {!step && !byMail && (
        <Form key="login" send={login} label={t("signIn")}>
          <Field label={t("email")}><input name="email" type="email" autoComplete="username" required /></Field>
          <Field label={t("password")}><input name="password" type="password" autoComplete="current-password" required /></Field>
          <p class="soft">{t("demo")} <code>learner@parley.example</code>, <code>parley-demo-1</code></p>
        </Form>
      )}
      {!step && <button onClick={() => setByMail(!byMail)}>{t(byMail ? "byPassword" : "byMail")}</button>}
      {step && "message" in step && (
        <Form key="mailed" send={verifyMailed} label={t("signIn")}>
          <Field label={t("mailedCode")}><input name="code" inputMode="numeric" autoComplete="one-time-code" required ref={focus} /></Field>
        </Form>
      )}
      {step && "mfaRequired" in step && (
        <Form key="code" send={verify} label={t("continue")}>
          <Field label={t("code")}><input name="code" autoComplete="one-time-code" required ref={focus} /></Field>
        </Form>
      )}
      {step && "newPasswordRequired" in step && (
        <Form key="password" send={renew} label={t("continue")}>
          <Field label={t("newPassword")}><input name="password" type="password" autoComplete="new-password" required /></Field>
        </Form>
      )}
    </main>
  );
}
