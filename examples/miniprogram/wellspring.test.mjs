// The transport against live servers, with a stand-in for `wx`. CUTTING_URL is a server behind a
// proxy that answers what has an Idempotency-Key only when it comes again, DIRECT_URL the
// same one, BUSY_URL one that takes few requests a minute; WECHAT_CODES are for `login`.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { connect } from './wellspring.js';
import { Wx } from './wx.mjs';

const { CUTTING_URL, DIRECT_URL, BUSY_URL, EMPLOYEE_TOKEN } = process.env;
const codes = (process.env.WECHAT_CODES ?? '').split(' ');
const TITLES = 'query ($first: Int) { contents(first: $first) { nodes { title } } }';
const LINKS = '{ viewer { id referralLinks(first: 1) { totalCount } } }';
const MAKE_LINK = `mutation ($input: ReferralLinkCreateInput!) {
  referralLinkCreate(input: $input) { referralLink { id } errors { code field } } }`;
const FIRST = '{ contents(first: 1) { nodes { id } } }';
const ENROL = 'mutation { promoterEnroll(program: "friends") { errors { code } } }';

// A mini-program that waits for nothing, and what it would have waited.
function started(url, token = '') {
  globalThis.wx = new Wx(codes);
  if (token) wx.setStorageSync('wellspring-token', token);
  const pauses = [];
  return { ...connect({ url, pause: async (seconds) => pauses.push(seconds) }), pauses };
}

const sharing = async (ask) => {
  await ask(ENROL);
  const { contents } = await ask(FIRST);
  return { input: { program: 'friends', content: contents.nodes[0].id } };
};

const links = async (ask) => (await ask(LINKS)).viewer.referralLinks.totalCount;

test('somebody reads without signing in', async () => {
  const { ask, pauses } = started(DIRECT_URL);
  const { contents } = await ask(TITLES, { first: 3 });
  assert.equal(contents.nodes.length, 3);
  assert.equal(wx.sent[0].authorization, undefined);
  assert.match(wx.sent[0]['idempotency-key'], /^[\x21-\x7e]{24}$/);
  assert.deepEqual(pauses, []);
});

test('a mutation whose answer was lost is sent again with its key, and takes effect once', async () => {
  const { ask } = started(DIRECT_URL, EMPLOYEE_TOKEN);
  const before = await links(ask);
  const input = await sharing(ask);
  const far = started(CUTTING_URL, EMPLOYEE_TOKEN);
  const { referralLinkCreate } = await far.ask(MAKE_LINK, input);
  assert.deepEqual(referralLinkCreate.errors, []);
  assert.ok(referralLinkCreate.referralLink.id);
  assert.deepEqual(far.pauses, [1]);
  assert.equal(wx.sent.length, 2);
  assert.equal(wx.sent[0]['idempotency-key'], wx.sent[1]['idempotency-key']);
  assert.equal(await links(ask), before + 1);
  await ask(MAKE_LINK, input);
  assert.equal(await links(ask), before + 2); // meant anew, done anew
});

test('what was cut off in the background goes out once it is back', async () => {
  const { ask, pauses } = started(DIRECT_URL);
  wx.losing = 2;
  assert.equal((await ask(TITLES, { first: 1 })).contents.nodes.length, 1);
  assert.deepEqual(pauses, [1, 2]);
});

test('without a network it says so after four attempts', async () => {
  const { ask, pauses } = started(DIRECT_URL);
  wx.losing = Infinity;
  await assert.rejects(ask(TITLES, { first: 1 }), { code: 'UNREACHABLE' });
  assert.deepEqual(pauses, [1, 2, 3]);
});

test('the page of a gateway is no answer, whatever its status', async () => {
  let left = 2;
  const gateway = createServer((_, response) => {
    left -= 1;
    if (left < 0) response.end(JSON.stringify({ data: { tiers: [] } }));
    else response.writeHead(left ? 502 : 200).end('<h1>Bad Gateway</h1>');
  });
  await new Promise((listening) => gateway.listen(0, '127.0.0.1', listening));
  try {
    const { ask } = started(`http://127.0.0.1:${gateway.address().port}/graphql`);
    assert.deepEqual(await ask('{ tiers { code } }'), { tiers: [] });
    assert.equal(wx.sent.length, 3);
  } finally {
    gateway.close();
  }
});

test('who is not known any more is signed in by WeChat, once, and the request repeated', async () => {
  const { ask } = started(DIRECT_URL, 'of-a-session-that-is-over');
  const [one, other] = await Promise.all([ask(LINKS), ask(LINKS)]);
  assert.ok(one.viewer.id);
  assert.deepEqual(one, other);
  assert.equal(wx.sent.length, 5);
  const bearers = wx.sent.map((header) => header.authorization);
  assert.equal(bearers[0], 'Bearer of-a-session-that-is-over');
  assert.equal(bearers[2], undefined); // the sign-in itself
  assert.equal(bearers[3], `Bearer ${wx.getStorageSync('wellspring-token')}`);
});

test('what is asked while somebody signs in waits, and is asked as them', async () => {
  const { ask, signIn } = started(DIRECT_URL);
  const [, { viewer }] = await Promise.all([signIn(), ask(LINKS), signIn()]);
  assert.ok(viewer.id);
  assert.equal(wx.sent.length, 2);
});

test('a sign-in whose answer was lost takes a fresh code', async () => {
  const { ask } = started(CUTTING_URL, 'of-a-session-that-is-over');
  const left = codes.length;
  assert.ok((await ask(LINKS)).viewer.id);
  assert.equal(codes.length, left - 2);
});

test('a sign-in that WeChat refuses is thrown with its reason', async () => {
  const { ask } = started(DIRECT_URL, 'of-a-session-that-is-over');
  wx.codes = ['no code of WeChat'];
  await assert.rejects(ask(LINKS), { code: 'CREDENTIALS_REJECTED' });
  assert.equal(wx.getStorageSync('wellspring-token'), '');
});

test('what the caller can mend is in the data', async () => {
  const { ask } = started(DIRECT_URL, EMPLOYEE_TOKEN);
  const { referralLinkCreate } = await ask(MAKE_LINK, { input: { program: 'friends' } });
  assert.deepEqual(referralLinkCreate.errors, [{ code: 'REQUIRED', field: ['targetUrl'] }]);
});

test('what is refused as a whole is thrown with its code, and not sent again', async () => {
  const { ask } = started(DIRECT_URL);
  const asking = ask(TITLES, { first: 101 });
  await assert.rejects(asking, (error) => {
    assert.equal(error.code, 'BAD_USER_INPUT');
    assert.ok(error.requestId && error.message);
    return true;
  });
  assert.equal(wx.sent.length, 1);
});

test('of thirty requests ten are under way at once, and all are answered', async () => {
  const { ask } = started(DIRECT_URL);
  const asked = Array.from({ length: 30 }, (_, n) => ask(TITLES, { first: n + 1 }));
  const counts = (await Promise.all(asked)).map(({ contents }) => contents.nodes.length);
  assert.deepEqual(counts, Array.from({ length: 30 }, (_, n) => n + 1));
  assert.equal(wx.most, 10);
  assert.equal(wx.sent.length, 30);
});

test('too many requests a minute wait as long as the server says', async () => {
  const { ask, pauses } = started(BUSY_URL);
  const problem = await exhausted(ask);
  assert.equal(problem.code, 'RATE_LIMITED');
  const tried = pauses.length;
  assert.ok(tried >= 3);
  for (const seconds of [...pauses, problem.retryAfterSeconds]) {
    assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60);
  }
});

async function exhausted(ask) {
  for (let sent = 0; sent < 50; sent += 1) {
    try {
      await ask('{ tiers { code } }');
    } catch (problem) {
      return problem;
    }
  }
  throw new Error('nothing was refused');
}
