/** The frame: who is signed in, which page is shown, and how far the sync is. */
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { Cards } from "./cards.tsx";
import { isSignedIn } from "./parley.ts";
import { Reminders } from "./reminders.tsx";
import { SignIn } from "./signin.tsx";
import { StatisticsPage } from "./statistics.tsx";
import { Study } from "./study.tsx";
import { Talk } from "./talk.tsx";
import { keepInStep, load, signOut, state, useThings } from "./things.ts";
import { LANGUAGES, language, speakLanguage, t } from "./words.ts";

const PAGES = { study: Study, cards: Cards, statistics: StatisticsPage, talk: Talk, reminders: Reminders };
type PageName = keyof typeof PAGES;

const pageOfAddress = (): PageName => {
  const name = location.hash.slice(1);
  return name in PAGES ? (name as PageName) : "study";
};

function App() {
  const [name, setName] = useState(pageOfAddress);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const follow = () => { setName(pageOfAddress()); heading.current?.focus(); };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => void (document.title = `${t(name)} · Parley`), [name]);
  const Page = PAGES[name];
  return (
    <>
      <header>
        <div class="bar">
          <a class="brand" href="#study">Parley</a>
          <SyncState />
          <button onClick={leave}>{t("signOut")}</button>
        </div>
        <nav class="bar" aria-label={t("menu")}>
          {(Object.keys(PAGES) as PageName[]).map((page) => (
            <a key={page} href={`#${page}`} aria-current={page === name ? "page" : undefined}>{t(page)}</a>
          ))}
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        <h1 ref={heading} tabIndex={-1}>{t(name)}</h1>
        <Page key={name} />
      </main>
    </>
  );
}

function leave(): void {
  if (state.waiting === 0 || confirm(t("unsent", { n: state.waiting }))) void signOut();
}

function SyncState() {
  useThings();
  const { offline, failed, syncing, waiting, refused } = state;
  const gaps = { n: waiting };
  const text = offline ? t("offline", gaps)
    : failed ? t("failed")
    : syncing ? t("syncing")
    : waiting ? t("waiting", gaps)
    : t("synced");
  return (
    <p id="sync" class="soft" data-waiting={waiting}>
      {text} {refused > 0 && <span role="alert" class="bad">{t("refused", { n: refused })}</span>}
    </p>
  );
}

function Frame({ signedIn }: { signedIn: boolean }) {
  const [isIn, setIsIn] = useState(signedIn);
  useEffect(() => { if (isIn) keepInStep(); }, [isIn]);
  return (
    <>
      <a class="skip" href="#content" onClick={skip}>{t("skip")}</a>
      {isIn ? <App /> : <SignIn done={() => setIsIn(true)} />}
      <footer class="bar">
        <label>{t("language")}{" "}
          <select onChange={(event) => speakLanguage(event.currentTarget.value)}>
            {Object.entries(LANGUAGES).map(([code, name]) => <option key={code} value={code} lang={code} selected={code === language}>{name}</option>)}
          </select>
        </label>
      </footer>
    </>
  );
}

/** Leads the keyboard to the content; the address keeps the page's name. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

document.documentElement.lang = language;
await load();
render(<Frame signedIn={await isSignedIn()} />, document.body);
await navigator.serviceWorker?.register("/app/sw.js", { scope: "/app" });
