// Owns the browser of the tests: Chromium without a window, and everything that went wrong in it.
import { chromium } from 'playwright-core';

const QUIET = [
  '--no-sandbox', // root, as in a container, has none
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PATIENCE_MS = 60_000; // the machine may have much else to do

/** A browser that forgets everything afterwards; `page(options)` opens a page of a new visitor. */
export async function start(executablePath, address) {
  const browser = await chromium.launch({ executablePath, args: QUIET });
  const wrong = [];
  return {
    wrong,
    close: () => browser.close(),
    async page(options = {}) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        ...options,
      });
      await context.grantPermissions(['clipboard-read', 'clipboard-write']);
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      watch(page, address, wrong);
      await page.goto(`${address}/playground`);
      return page;
    },
  };
}

/** Notes mistakes of scripts, what the content security policy has stopped, and whatever is asked
 * of another origin. */
function watch(page, address, wrong) {
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  page.on('console', (said) => {
    // The browser says of each refused request that it was; the tests ask for some of them.
    const refused = said.text().startsWith('Failed to load resource') && /40[0-9]/.test(said.text());
    if (['error', 'warning'].includes(said.type()) && !refused) wrong.push(`console: ${said.text()}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${address}/`) && !url.startsWith('data:')) wrong.push(`asks ${url}`);
  });
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText;
    if (why !== 'net::ERR_ABORTED') wrong.push(`fails ${request.url()}: ${why}`);
  });
}
