/** The app's words. `de` has what `en` has, or it does not compile. */
const en = {
  study: "Study", cards: "Cards", statistics: "Statistics", talk: "Talk", reminders: "Reminders",
  skip: "Skip to the content", menu: "Main", language: "Language",
  email: "Email address", password: "Password", signIn: "Sign in", signOut: "Sign out",
  byMail: "Sign in with a mailed code", byPassword: "Sign in with a password", mailCode: "Mail me a code", mailedCode: "Code from the mail",
  code: "Code of your authenticator app, or a backup code", newPassword: "A password of your own",
  continue: "Continue", demo: "The demo account of local runs:",
  unsent: "{n} answers are not sent yet and would be lost. Sign out all the same?",
  synced: "In sync", syncing: "Syncing …", offline: "Offline: {n} to send", waiting: "{n} to send",
  failed: "Could not sync; it goes on later", refused: "{n} of what you did was refused and is undone.",
  needsNetwork: "This needs a network.", asOf: "Offline: as it was when you were last online.",
  allDecks: "All decks", deck: "Deck", newDeck: "New deck", name: "Name",
  show: "Show the answer", speak: "Say it aloud", undo: "Undo", undone: "Undone.",
  again: "Again", hard: "Hard", good: "Good", easy: "Easy", left: "{learning} learning, {review} to review, {new} new",
  done: "Done for now.", doneUntil: "Done for now. The next card comes back {when}.", keys: "Keys: space shows the answer, 1–4 rate it, U undoes, S says it.",
  question: "Question", answer: "Answer",
  front: "Front", back: "Back", add: "Add", addCard: "Add a card", added: "Added: {front}",
  import: "Import", importFile: "Import a file", file: "CSV, text, JSON or an Anki package, up to 4.4 MB",
  importing: "Importing … {n} so far", imported: "{imported} new, {updated} updated, {skipped} known, {failed} failed",
  row: "Row {row}", languageOfDeck: "Language of the front, e.g. es", cardCount: "{n} cards", noDeck: "Make a deck first.",
  streak: "Days in a row", longest: "Longest: {n}", learned: "Cards learned", today: "Today", minutes: "{n} min",
  heatmap: "Answers of the last year", heatmapSays: "Answers: {n}. Days with answers: {days}.", forecast: "Reviews of the next 30 days",
  retention: "Retention", remembered: "remembered", expected: "expected", week: "Week", month: "Month", year: "Year", total: "Cards",
  reviewsOn: "{n} on {day}", mostADay: "At most {n} a day.",
  scenarios: "Scenarios", begin: "Begin", yourLine: "Your line", say: "Say", hint: "Hint", finish: "Finish", back_: "Back to the scenarios",
  better: "Better:", makeCard: "Make a card", made: "The card is made.", goals: "Goals", reached: "reached", scores: "Scores",
  vocabulary: "Vocabulary", grammar: "Grammar", fluency: "Fluency", task: "Task", you: "You",
  remindDaily: "Remind me to study", remindOnce: "Remind me once", at: "Time", when: "When", title: "Title",
  save: "Save", remove: "Remove", noReminders: "There are no reminders.", event: "Event", report: "Report", next: "next {when}",
};
const de: typeof en = {
  study: "Lernen", cards: "Karten", statistics: "Statistik", talk: "Gespräch", reminders: "Erinnerungen",
  skip: "Zum Inhalt springen", menu: "Hauptmenü", language: "Sprache",
  email: "E-Mail-Adresse", password: "Passwort", signIn: "Anmelden", signOut: "Abmelden",
  byMail: "Mit einem Code per Mail anmelden", byPassword: "Mit Passwort anmelden", mailCode: "Code mailen", mailedCode: "Code aus der Mail",
  code: "Code deiner Authenticator-App oder ein Ersatzcode", newPassword: "Ein eigenes Passwort",
  continue: "Weiter", demo: "Das Demo-Konto lokaler Starts:",
  unsent: "{n} Antworten sind noch nicht gesendet und gingen verloren. Trotzdem abmelden?",
  synced: "Abgeglichen", syncing: "Gleicht ab …", offline: "Offline: {n} zu senden", waiting: "{n} zu senden",
  failed: "Der Abgleich schlug fehl; er geht später weiter", refused: "{n} deiner Eingaben wurden abgelehnt und zurückgenommen.",
  needsNetwork: "Dafür braucht es ein Netz.", asOf: "Offline: Stand deiner letzten Verbindung.",
  allDecks: "Alle Stapel", deck: "Stapel", newDeck: "Neuer Stapel", name: "Name",
  show: "Antwort zeigen", speak: "Vorlesen", undo: "Rückgängig", undone: "Zurückgenommen.",
  again: "Nochmal", hard: "Schwer", good: "Gut", easy: "Leicht", left: "{learning} in Arbeit, {review} zu wiederholen, {new} neu",
  done: "Fürs Erste geschafft.", doneUntil: "Fürs Erste geschafft. Die nächste Karte kommt {when}.", keys: "Tasten: Leertaste zeigt die Antwort, 1–4 bewertet, U macht rückgängig, S liest vor.",
  question: "Frage", answer: "Antwort",
  front: "Vorderseite", back: "Rückseite", add: "Hinzufügen", addCard: "Karte hinzufügen", added: "Hinzugefügt: {front}",
  import: "Importieren", importFile: "Datei importieren", file: "CSV, Text, JSON oder ein Anki-Paket, bis 4,4 MB",
  importing: "Importiert … {n} bisher", imported: "{imported} neu, {updated} geändert, {skipped} bekannt, {failed} fehlerhaft",
  row: "Zeile {row}", languageOfDeck: "Sprache der Vorderseite, z. B. es", cardCount: "{n} Karten", noDeck: "Lege zuerst einen Stapel an.",
  streak: "Tage in Folge", longest: "Längste Folge: {n}", learned: "Gelernte Karten", today: "Heute", minutes: "{n} Min.",
  heatmap: "Antworten des letzten Jahres", heatmapSays: "Antworten: {n}. Tage mit Antworten: {days}.", forecast: "Wiederholungen der nächsten 30 Tage",
  retention: "Behalten", remembered: "behalten", expected: "erwartet", week: "Woche", month: "Monat", year: "Jahr", total: "Karten",
  reviewsOn: "{n} am {day}", mostADay: "Höchstens {n} am Tag.",
  scenarios: "Szenen", begin: "Beginnen", yourLine: "Dein Satz", say: "Sagen", hint: "Tipp", finish: "Beenden", back_: "Zurück zu den Szenen",
  better: "Besser:", makeCard: "Karte machen", made: "Die Karte ist gemacht.", goals: "Ziele", reached: "erreicht", scores: "Bewertung",
  vocabulary: "Wortschatz", grammar: "Grammatik", fluency: "Flüssigkeit", task: "Aufgabe", you: "Du",
  remindDaily: "Ans Lernen erinnern", remindOnce: "Einmal erinnern", at: "Uhrzeit", when: "Wann", title: "Titel",
  save: "Speichern", remove: "Entfernen", noReminders: "Es gibt keine Erinnerungen.", event: "Termin", report: "Bericht", next: "als Nächstes {when}",
};
const words = { en, de };
export type Language = keyof typeof words;
export const LANGUAGES: Record<Language, string> = { en: "English", de: "Deutsch" };

const wished = localStorage.getItem("language") ?? navigator.language.slice(0, 2);
export const language: Language = wished in words ? (wished as Language) : "en";

export function speakLanguage(wanted: string): void {
  localStorage.setItem("language", wanted);
  location.reload();
}

/** A text in the learner's language, with its gaps filled: `t("waiting", { n: 3 })`. */
export function t(name: keyof typeof en, gaps: Record<string, string | number> = {}): string {
  return words[language][name].replace(/\{(\w+)\}/g, (_, gap: string) => String(gaps[gap] ?? ""));
}

const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]] as const;

/** How far away an instant is: "10 min", "7 days". */
export function distance(ms: number): string {
  const [unit, size] = UNITS.find(([, each]) => ms >= each) ?? UNITS[2];
  const count = Math.max(1, Math.round(ms / size));
  const unitDisplay = unit === "day" ? "long" : "short";
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay }).format(count);
}

export const instant = (iso: string) =>
  new Date(iso).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
export const percent = (share: number | null) =>
  share === null ? "–" : share.toLocaleString(language, { style: "percent" });
