"use strict";

const reference = document.getElementById("reference");
const form = document.querySelector("#sign-in form");
const told = form.querySelector("[role=status]");

const LIGHT = { "bg-color": "#ffffff", "text-color": "#22262b", "primary-color": "#1d5c63", "nav-bg-color": "#f6f5f1", "nav-text-color": "#22262b", "nav-hover-bg-color": "#e6e3da", "nav-hover-text-color": "#1d5c63", "nav-accent-color": "#1d5c63", theme: "light" };
const DARK = { "bg-color": "#16191c", "text-color": "#e8e6e0", "primary-color": "#7cc4cb", "nav-bg-color": "#1f2428", "nav-text-color": "#e8e6e0", "nav-hover-bg-color": "#2c3338", "nav-hover-text-color": "#7cc4cb", "nav-accent-color": "#7cc4cb", theme: "dark" };
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  for (const [name, value] of Object.entries(dark.matches ? DARK : LIGHT)) reference.setAttribute(name, value);
}
dark.addEventListener("change", paint);
paint();

addEventListener("DOMContentLoaded", async () => {
  await customElements.whenDefined("rapi-doc");
  mend(reference.shadowRoot);
  const answer = await fetch("schema", { headers: { Accept: "application/vnd.oai.openapi+json" } });
  const document_ = await answer.json();
  // RapiDoc resolves a document of 3.1 by another library, which takes 14 times as long for the same.
  document_.openapi = "3.0.3";
  document_.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  reference.loadSpec(document_);
});

// What RapiDoc lacks, in each of its shadow roots: colours with a contrast of at least 4.5 (its own
// have less in places), room for names of two lines, names of fields, and a way to scroll by keyboard.
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  :host { --red: #b3261e; --blue: #0b5c99; --green: #2d6a00; --orange: #8a4b00; --yellow: #6b5900; --purple: #6a3fa0; --light-fg: #565d64; --placeholder-color: #565d64; }
  @media (prefers-color-scheme: dark) {
    :host { --red: #ff9d90; --blue: #7fc1f5; --green: #9bd06a; --orange: #f0b26b; --yellow: #e0cc66; --purple: #c6a8f0; --light-fg: #a9afb5; --placeholder-color: #a9afb5; }
  }
  .nav-bar-tag-and-paths.expanded > .nav-bar-paths-under-tag { max-height: none !important; }
  #api-info { margin-left: 0; }
  .nav-bar-tag, .nav-bar-path, .nav-bar-info, .nav-bar-section-title { opacity: 1; }
`);
const mended = new WeakSet();
const observer = new MutationObserver(() => requestAnimationFrame(() => mend(reference.shadowRoot)));
function mend(root) {
  if (!mended.has(root)) {
    mended.add(root);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    observer.observe(root, { childList: true, subtree: true });
  }
  for (const field of root.querySelectorAll("input, textarea, select")) {
    const { pname, ptype } = field.dataset;
    if (!field.labels?.length) field.setAttribute("aria-label", pname || (ptype ? `Body: ${ptype}` : field.placeholder || "Value"));
  }
  for (const scrolled of root.querySelectorAll(".main-content, pre")) scrolled.tabIndex = 0;
  for (const { shadowRoot } of root.querySelectorAll("*")) if (shadowRoot) mend(shadowRoot);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password, code } = Object.fromEntries(new FormData(form));
  const second = form.dataset.sessionToken;
  const [path, body] = second
    ? ["auth/mfa/verify", { sessionToken: second, code }]
    : ["auth/login", { email, password }];
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (answer.accessToken) {
    reference.setApiKey("accessToken", answer.accessToken);
    told.textContent = `Signed in for ${Math.round(answer.expiresIn / 60)} minutes`;
    delete form.dataset.sessionToken;
    form.elements.password.value = "";
  } else if (answer.mfaRequired) {
    form.dataset.sessionToken = answer.sessionToken;
    form.elements.code.disabled = false;
    form.elements.code.closest("label").hidden = false;
    form.elements.code.focus();
    told.textContent = "";
  } else {
    told.textContent = answer.detail ?? "Set a password first";
  }
});
