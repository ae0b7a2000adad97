// Plays a newcomer in the playground of a running demo: publishes a piece and shares it, by what the
// page itself says. It leaves pictures in the folder.
// usage: node journey.mjs CHROMIUM ADDRESS FOLDER < tokens.json
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { start } from './browser.mjs';

const [executable, address, folder] = process.argv.slice(2);
const tokens = JSON.parse(readFileSync(0, 'utf8'));
let browser;
let page;

before(async () => {
  browser = await start(executable, address);
  page = await browser.page();
});

afterEach(async (context) => {
  const name = context.name.replaceAll(/\W+/g, '-');
  await page.screenshot({ path: `${folder}/${name}.png` });
});

after(() => browser.close());

const VARIABLES = '.graphiql-editor-tool .graphiql-editor:not(.hidden)';
const RESULT = '.result-window';

const job = (key) => page.locator(`[data-job=${key}]`);
const step = (title) => page.locator('.job.at li button', { hasText: title });

/** Follows a link as it is printed when the demo starts. */
async function signIn(person) {
  await page.goto(`${address}/playground#token=${tokens[person]}`);
  await page.locator('.sign-in button.primary').click();
  await page.locator('.sign-in').waitFor({ state: 'detached' });
}

/** Presses ▶; the answer, as it is shown. */
async function run() {
  await page.locator(`${RESULT} .monaco-editor`).waitFor(); // the last part to be there
  const answered = page.waitForResponse((response) => response.url() === `${address}/graphql`);
  await page.locator('.graphiql-execute-button').click();
  return (await answered).json();
}

/** The text that an editor shows. */
async function shown(editor) {
  const lines = page.locator(`${editor} .view-lines`);
  return (await lines.innerText()).replaceAll('\u00a0', ' ');
}

/** Pastes a text over all that an editor holds; typed, brackets would be closed on the way. */
async function write(editor, text) {
  await page.locator(`${editor} .view-lines`).click();
  await page.keyboard.press('ControlOrMeta+a');
  await page.evaluate((text) => navigator.clipboard.writeText(text), text);
  await page.keyboard.press('ControlOrMeta+v');
}

test('the first screen says what can be done', async () => {
  await page.locator('.jobs').waitFor();
  assert.match(await page.locator('.jobs').innerText(), /What would you like to do\?/);
  assert.equal(await page.locator('.job').count(), 5);
  assert.equal(await page.locator('.graphiql-tab').count(), 5);
  await page.getByText('Sign in to do this').waitFor();
});

test('an example runs before anybody has signed in', async () => {
  const answer = await run();
  assert.ok(answer.data.contents.totalCount > 0);
  await page.locator(RESULT, { hasText: 'totalCount' }).waitFor();
});

test('the docs say what the schema says', async () => {
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Query' }).first().click();
  await page.getByText('Who is signed in; null for nobody.').waitFor();
  await page.getByRole('button', { name: 'Show Jobs' }).click();
});

test('what takes somebody who is signed in opens the form', async () => {
  await job('employee').locator('.job-title').click();
  const answer = await run();
  assert.equal(answer.errors[0].extensions.code, 'UNAUTHENTICATED');
  await page.locator('.sign-in .wrong', { hasText: 'For this, sign in.' }).waitFor();
  await page.locator('.sign-in input[name=token]').fill('nonsense');
  await page.locator('.sign-in button.primary').click();
  await page.locator('.sign-in .wrong', { hasText: 'unknown or has expired' }).waitFor();
  await page.locator('.sign-in').getByText('Cancel').click();
});

test('a link signs its person in, and its token leaves the address', async () => {
  await signIn('editor');
  await page.locator('.viewer', { hasText: 'Xia the editor' }).waitFor();
  assert.equal(await page.evaluate(() => location.hash), '');
  assert.equal(await page.evaluate(() => document.cookie), '');
});

test('an editor writes a piece, and publishes it by going from step to step', async () => {
  await job('editor').locator('.job-title').click();
  await step('Write a draft').click();
  const variables = JSON.parse(
    readFileSync(new URL('../../api/playground/examples/editor/3-write.json', import.meta.url)),
  );
  variables.input.title = 'My first piece';
  variables.input.slug = 'my-first-piece';
  await write(VARIABLES, JSON.stringify(variables));
  const written = await run();
  assert.deepEqual(written.data.contentCreate.errors, []);
  for (const title of [
    'Hand it in for review',
    'Read it before readers do',
    'Publish it',
    'See it where readers see it',
  ]) {
    await page.locator('.onward', { hasText: title }).click();
    await page.locator('[aria-current=step]', { hasText: title }).waitFor();
    const answer = await run();
    assert.equal(answer.errors, undefined);
    await page.locator('.job.at li.done', { hasText: title }).waitFor();
  }
  assert.match(await shown(RESULT), /"slug": "my-first-piece"/);
  await page.locator('.onward', { hasText: 'Next: Share' }).waitFor();
  assert.equal((await fetch(`${address}/c/my-first-piece`)).status, 200);
});

test('a step waits for the one before it', async () => {
  await page.evaluate(() => sessionStorage.clear());
  await page.reload();
  await page.locator('.jobs').waitFor();
  await job('finance').locator('.job-title').click();
  await step('Say what the bank did').click();
  await page.locator('.graphiql-execute-button').click();
  await page.locator(RESULT, { hasText: 'First comes “Pay out”' }).waitFor();
});

test('an employee shares what was published, and the link leads to it', async () => {
  await signIn('employee');
  await page.locator('.viewer', { hasText: 'Lin the employee' }).waitFor();
  await job('employee').locator('.job-title').click();
  await step('Become a promoter').click();
  await run();
  await page.locator('.onward', { hasText: 'Find something to share' }).click();
  const found = await run();
  assert.equal(found.data.contents.nodes[0].title, 'My first piece');
  await page.locator('.onward', { hasText: 'Share it' }).click();
  assert.ok((await shown(VARIABLES)).includes(found.data.contents.nodes[0].id));
  const link = (await run()).data.contentShare.referralLink;
  const followed = await fetch(link.url, { redirect: 'manual' });
  assert.match(followed.headers.get('location'), /\/c\/my-first-piece\?/);
});

test('what somebody has written is not lost to an example', async () => {
  await job('operator').locator('.job-title').click();
  await page.locator('[aria-current=step]', { hasText: 'Look at the tiers' }).waitFor();
  const before = await page.locator('.graphiql-tab').count();
  await write('.graphiql-query-editor', '{ viewer { id } } # mine');
  await page.waitForTimeout(500); // GraphiQL looks at what was typed a moment later
  await job('operator').locator('.job-title').click();
  assert.equal(await page.locator('.graphiql-tab').count(), before + 1);
  await page.locator('.graphiql-tab-button', { hasText: '<untitled>' }).click();
  await page.locator('.graphiql-query-editor', { hasText: '# mine' }).waitFor();
});

test('signing out signs out', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.locator('.bar').getByRole('button', { name: 'Sign in' }).waitFor();
  await page.reload();
  await page.locator('.bar').getByRole('button', { name: 'Sign in' }).waitFor();
});

test('a session that ended elsewhere is said to be over', async () => {
  await signIn('member');
  await page.locator('.viewer', { hasText: 'Mei the member' }).waitFor();
  await fetch(`${address}/graphql`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${tokens.member}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ query: 'mutation { signOut }' }),
  });
  await run();
  await page.locator('.sign-in .wrong', { hasText: 'Your session is over.' }).waitFor();
  await page.locator('.sign-in').getByText('Cancel').click();
  await page.locator('.bar').getByRole('button', { name: 'Sign in' }).waitFor();
});

test('on a phone nothing is cut off, in the dark too', async () => {
  await page.close();
  page = await browser.page({
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    colorScheme: 'dark',
  });
  await run();
  await page.locator(RESULT, { hasText: 'totalCount' }).waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `${wide} pixels`);
});

test('nothing went wrong in the browser, and nothing was asked of anybody else', () => {
  assert.deepEqual(browser.wrong, []);
});
