// The service worker: the app's own files come from its cache, at once and without a network.
// The API is never answered from here: what the app knows of it stands in IndexedDB.
const SHELL = ["/app", "/app/app.js", "/app/app.css", "/app/icon.svg", "/app/manifest.webmanifest"];

// All files or none, so that a page never runs with parts of two versions.
const renew = async () => (await caches.open("app")).addAll(SHELL.map((path) => new Request(path, { cache: "no-cache" })));

self.addEventListener("install", (event) => event.waitUntil(renew()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (!SHELL.includes(new URL(request.url).pathname)) return;
  event.respondWith(caches.match(request, { ignoreSearch: true }).then((kept) => kept ?? fetch(request)));
  if (request.mode === "navigate") event.waitUntil(renew().catch(() => {})); // the next visit has the newest
});
