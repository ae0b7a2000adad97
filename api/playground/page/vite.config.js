// How the page is built: into ../dist, from where the server hands it out at /playground.
import { defineConfig } from 'vite';

// The editor of variables asks for every input field that is not null, also for those that have a
// default and may be left out. Once it knows better, this fails the build, and can go.
const defaultsMayBeLeftOut = {
  name: 'defaults-may-be-left-out',
  transform(code, id) {
    if (!id.endsWith('/utils/getVariablesJSONSchema.js')) return undefined;
    const asks = 'if (fieldRequired) {';
    if (!code.includes(asks)) throw new Error(`${id} has changed: see vite.config.js`);
    return code.replace(asks, 'if (fieldRequired && field.defaultValue === undefined) {');
  },
};

export default defineConfig({
  base: '/playground/',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy takes scripts and workers from files alone
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 8_000, // the editor is large, and comes from our own server
  },
  plugins: [defaultsMayBeLeftOut],
  worker: { format: 'es', plugins: () => [defaultsMayBeLeftOut] },
});
