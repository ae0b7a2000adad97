// How the page is built: into ../dist, from where the server hands it out at /playground.
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/playground/',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy takes scripts and workers from files alone
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 8_000, // the editor is large, and comes from our own server
  },
  worker: { format: 'es' },
});
