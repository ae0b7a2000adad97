// One journey of a front-end through a live server, whose answers to mutations are cut off.
// CUTTING_URL is the server behind a proxy that answers what has an Idempotency-Key only when it comes
// again, BUSY_URL one that takes few requests a minute; EMPLOYEE_TOKEN and EDITOR_TOKEN are of the demo;
// EXPIRE ends the session of the token behind it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { type Options, type Session, connect } from '../src/client.js';
import { ENROL, IMPORT, JOIN, LIBRARY, MAKE_LINK, ME, MY_LINKS, SIGN_IN } from '../src/documents.js';
import { ended } from '../src/jobs.js';
import { all } from '../src/pages.js';
import { Refused, Unreachable, byField, dataOf } from '../src/results.js';

const url = needed('CUTTING_URL');
const trusted = process.env['TRUSTED'] === 'true';
const email = `mei-${randomUUID()}@example.com`;
const password = 'spring water, twice a day';
let session: Session;

/** What went over the wire, in order. */
interface Sent {
  key: string | null;
  bearer: string | null;
  body: { query?: string; documentId?: string };
  status?: number;
  replayed?: boolean;
}

function needed(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: tests/clients/check sets it`);
  return value;
}

function demo(name: string): Session {
  return { token: needed(name), expiresAt: new Date(Date.now() + 60_000).toISOString() };
}

function client(more: Partial<Options> = {}) {
  const sent: Sent[] = [];
  const noted: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    const each: Sent = {
      key: headers.get('idempotency-key'),
      bearer: headers.get('authorization'),
      body: JSON.parse(init?.body as string),
    };
    sent.push(each);
    const response = await fetch(input, init);
    each.status = response.status;
    each.replayed = response.headers.get('idempotency-replayed') === 'true';
    return response;
  };
  const signIn = async () => null;
  return { sent, urql: connect({ url, signIn, trusted, fetch: noted, ...more }) };
}

/** What the form of a front-end would do, with what the person types. */
function form(typed: string): Options['signIn'] {
  return async (mutate) => {
    const { signIn } = dataOf(await mutate(SIGN_IN, { input: { email, password: typed } }));
    const { token, expiresAt } = signIn;
    return token && expiresAt ? { token, expiresAt } : null;
  };
}

before(async () => {
  const { urql, sent } = client();
  const joining = { displayName: 'Mei', email, password };
  const { memberRegister } = dataOf(await urql.mutation(JOIN, { input: joining }));
  assert.deepEqual(memberRegister.errors, []);
  const { token, expiresAt } = memberRegister;
  assert.ok(token && expiresAt);
  session = { token, expiresAt };
  // Had the second one been another account, its e-mail address would have been taken.
  assert.deepEqual(sent.map((each) => each.replayed), [undefined, true]);
});

test('who has joined is signed in', async () => {
  const { urql, sent } = client({ session });
  const { viewer } = dataOf(await urql.query(ME, {}));
  assert.deepEqual([viewer?.displayName, viewer?.email], ['Mei', email]);
  assert.deepEqual(Object.keys(sent[0]!.body).includes('documentId'), trusted);
  assert.deepEqual(Object.keys(sent[0]!.body).includes('query'), !trusted);
});

test('two pages are the whole list, row by row', async () => {
  const { urql, sent } = client();
  const page = (first: number) => async (after: string | null) =>
    dataOf(await urql.query(LIBRARY, { first, after })).contents;
  const whole = await page(100)(null);
  assert.equal(whole.pageInfo.hasNextPage, false);
  const slugs = whole.nodes.map((each) => each.slug);
  const half = Math.ceil(slugs.length / 2);
  assert.ok(half > 10);

  const found: string[] = [];
  for await (const { slug } of all(page(half))) found.push(slug);

  assert.deepEqual(found, slugs);
  assert.equal(new Set(slugs).size, slugs.length);
  assert.equal(sent.length, 1 + 2);
});

test('a mistake of the caller is in the payload, at its field', async () => {
  const { urql } = client();
  const input = { displayName: 'Mei again', email: email.toUpperCase(), password };
  const { memberRegister } = dataOf(await urql.mutation(JOIN, { input }));
  assert.deepEqual(memberRegister.errors.map((each) => each.code), ['NOT_UNIQUE']);
  assert.deepEqual([...byField(memberRegister.errors).keys()], ['email']);
  assert.equal(memberRegister.token, null);
});

test('what is refused as a whole is an error with its code and the id of the request', async () => {
  const { urql } = client();
  const asking = urql.query(LIBRARY, { first: 101 }).toPromise().then(dataOf);
  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof Refused);
    assert.equal(error.code, 'BAD_USER_INPUT');
    assert.match(error.requestId, /^[\w.-]{8,64}$/);
    assert.equal(error.retryAfterSeconds, null);
    return true;
  });
});

test('who asks too often is told how long to wait', async () => {
  const { urql } = client({ url: needed('BUSY_URL'), trusted: false });
  const ask = () =>
    urql.query(LIBRARY, { first: 1 }, { requestPolicy: 'network-only' }).toPromise().then(dataOf);
  const often = async () => {
    for (let sent = 0; sent < 50; sent += 1) await ask();
  };
  await assert.rejects(often(), (error) => {
    assert.ok(error instanceof Refused);
    assert.equal(error.code, 'RATE_LIMITED');
    assert.ok(error.retryAfterSeconds! >= 1 && error.retryAfterSeconds! <= 60);
    return true;
  });
});

test('a server that never answers is told apart from one that refuses', async () => {
  const { urql, sent } = client({ url: 'http://127.0.0.1:9/graphql' });
  const asking = urql.query(ME, {}).toPromise().then(dataOf);
  await assert.rejects(asking, Unreachable);
  assert.equal(sent.length, 4);
});

test('an expired session is renewed, and every request that waited for it answered', async () => {
  execFileSync(needed('EXPIRE'), [session.token]);
  let forms = 0;
  const { urql, sent } = client({
    session,
    signIn: (mutate) => {
      forms += 1;
      return form(password)(mutate);
    },
  });
  const [me, links] = await Promise.all([urql.query(ME, {}), urql.query(MY_LINKS, {})]);
  assert.equal(dataOf(me).viewer?.email, email);
  assert.equal(dataOf(links).viewer?.referralLinks.totalCount, 0);
  assert.equal(forms, 1);
  assert.equal(sent.filter((each) => each.status === 401).length, 2);

  const bearers = new Set(sent.filter((each) => each.status === 200).map((each) => each.bearer));
  assert.equal(bearers.size, 1 + 1); // of nobody, to sign in, and of the new session
  assert.ok(!bearers.has(`Bearer ${session.token}`));
});

test('who does not sign in again gets the refusal, and is nobody from then on', async () => {
  const { urql } = client({ session, signIn: form('another password') });
  const me = () => urql.query(ME, {}, { requestPolicy: 'network-only' }).toPromise().then(dataOf);
  await assert.rejects(me(), { code: 'UNAUTHENTICATED' });
  assert.equal((await me()).viewer, null);
  const making = urql.mutation(MAKE_LINK, { input: { program: 'friends' } }).toPromise();
  await assert.rejects(making.then(dataOf), { code: 'UNAUTHENTICATED' });
});

test('a session that has run out by our own clock is not even tried', async () => {
  const ended = { ...session, expiresAt: new Date(Date.now() - 1).toISOString() };
  const { urql, sent } = client({ session: ended, signIn: form(password) });
  const { viewer } = dataOf(await urql.query(ME, {}));
  assert.equal(viewer?.email, email);
  assert.deepEqual(sent.map((each) => each.status), [200, 200]);
});

test('a mutation whose answer was lost is sent again, and has taken effect once', async () => {
  const { urql, sent } = client({ session: demo('EMPLOYEE_TOKEN') });
  const links = async () =>
    dataOf(await urql.query(MY_LINKS, {}, { requestPolicy: 'network-only' })).viewer!.referralLinks;
  const program = 'friends'; // of the demo
  const { promoterEnroll } = dataOf(await urql.mutation(ENROL, { program }));
  assert.deepEqual(promoterEnroll.errors, []);
  const { contents } = dataOf(await urql.query(LIBRARY, { first: 1 }));
  const input = { program, content: contents.nodes[0]!.id };
  const { totalCount } = await links();
  sent.length = 0;

  const { referralLinkCreate } = dataOf(await urql.mutation(MAKE_LINK, { input }));

  assert.deepEqual(referralLinkCreate.errors, []);
  assert.deepEqual(sent.map((each) => each.replayed), [undefined, true]);
  assert.equal(sent[0]!.key, sent[1]!.key);
  const after = await links();
  assert.equal(after.totalCount, totalCount + 1);
  assert.equal(after.nodes[0]!.id, referralLinkCreate.referralLink!.id);

  dataOf(await urql.mutation(MAKE_LINK, { input }));
  assert.equal((await links()).totalCount, totalCount + 2); // meant anew, done anew
});

test('long work is waited for, and says what went wrong', async () => {
  const { urql } = client({ session: demo('EDITOR_TOKEN') });
  const items = [{ slug: 'a-new-piece', title: 'New' }, { slug: 'untitled', title: '' }];
  const { contentsImport } = dataOf(await urql.mutation(IMPORT, { items, dryRun: true }));
  assert.deepEqual(contentsImport.errors, []);
  const seen: number[] = [];

  const job = await ended(urql, contentsImport.job!.id, ({ done }) => seen.push(done), 20);

  assert.deepEqual([job.status, job.done, job.total], ['DONE', 2, 2]);
  assert.match(job.problems.join(), /^items\[1\] \(untitled\): title: /);
  assert.equal(seen.at(-1), 2);
});
