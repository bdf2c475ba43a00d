// Helps where the pages for writing scenarios would be loaded anew; without it they work as well.
"use strict";

// Rows move at once: a row's place is that of its hidden field, which moves along.
document.addEventListener("click", (event) => {
  const button = event.target.closest("#scenario button[name=_do]");
  const [verb] = button ? button.value.split(" ") : [];
  if (verb !== "up" && verb !== "down") return;
  event.preventDefault();
  const row = button.closest("li");
  const other = verb === "up" ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return;
  if (verb === "up") other.before(row);
  else other.after(row);
  changed = true;
  button.focus();
});

// A trial goes on in its place.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.id === "scenario") changed = false;
  if (!form.closest("#play") || form.dataset.plain) return;
  const sent = new URLSearchParams(new FormData(form, event.submitter));
  event.preventDefault();
  const answer = await fetch(form.action, { method: "POST", body: sent }).catch(() => null);
  const page = new DOMParser().parseFromString(answer ? await answer.text() : "", "text/html");
  const play = page.getElementById("play");
  if (!play) {
    // The session has ended, say: sent as without script, the page itself tells.
    form.dataset.plain = "yes";
    form.requestSubmit(event.submitter);
    return;
  }
  document.getElementById("play").replaceWith(play);
  const next = document.getElementById("text") || play.querySelector("button");
  next.focus();
  next.scrollIntoView({ block: "nearest" });
});

// What was written is not left behind without a question.
let changed = false;
document.addEventListener("input", (event) => {
  if (event.target.form && event.target.form.id === "scenario") changed = true;
});
window.addEventListener("beforeunload", (event) => {
  if (changed) event.preventDefault();
});
