import { defineConfig } from "vite";

// Names without hashes: the built files are committed, and a change shows as a change of them.
export default defineConfig({
  root: import.meta.dirname,
  base: "/app/",
  build: {
    outDir: process.env["APP_OUT"] ?? "dist",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    target: "es2023",
    rollupOptions: { output: { entryFileNames: "app.js", assetFileNames: "app[extname]" } },
  },
});
