// Owns who is signed in to the playground. The token itself is in a cookie that no script reads.
import { forget } from './answers.js';
import { ask, code, enter } from './asking.js';
import { state } from './state.js';

const WHO = 'query WhoIsThere { viewer { displayName email roles } }';
const viewer = state(null);
// null, or what the form to sign in opens with: a token from the address, and what is to be said.
const form = state(null);

export const session = {
  useViewer: viewer.use,
  useForm: form.use,

  /** Asks the server who is there; a session that is over is forgotten. */
  async look() {
    const answer = await ask({ query: WHO });
    if (code(answer) === 'UNAUTHENTICATED') await enter(null);
    viewer.set(answer.data?.viewer ?? null);
  },

  /** Signs in with a password or a token; what is wrong, or null. */
  async signIn(given) {
    const wrong = await enter(given);
    if (wrong === null) {
      await session.look();
      form.set(null);
    }
    return wrong;
  },

  async signOut() {
    await enter(null);
    forget();
    await session.look();
  },

  open: (opening = {}) => form.set(opening),
  close: () => form.set(null),

  /** What to do when a request was refused since nobody is signed in, or not any more. */
  async ended() {
    const before = viewer.get();
    await session.look();
    if (viewer.get() !== null) return;
    form.set({ say: before ? 'Your session is over. Sign in again.' : 'For this, sign in.' });
  },
};

/** Whether somebody with these roles may do what needs this one. */
export const may = (roles, role) =>
  roles.includes(role) ||
  (roles.includes('ADMIN') && role !== 'SERVICE') ||
  (roles.includes('REVIEWER') && role === 'EDITOR');
