// Owns what earlier steps were answered, and filling it in where a later one needs it: the text
// "{WriteDraft.contentCreate.content.id}" stands for that part of the answer to WriteDraft.
import { state } from './state.js';

const HOLE = /"\{(\w+)\.([\w.]+)\}"/g;
const KEY = 'wellspring:answers';
const answers = state(JSON.parse(sessionStorage.getItem(KEY) ?? '{}'));

export const useAnswers = answers.use;

/** Remembers the data of an answer if all of it went well. */
export function remember(name, answer) {
  if (!name || answer.errors || !Object.values(answer.data ?? {}).every(well)) return;
  answers.set({ ...answers.get(), [name]: answer.data });
  sessionStorage.setItem(KEY, JSON.stringify(answers.get()));
}

/** Drops them: they were given to somebody who has left. */
export function forget() {
  answers.set({});
  sessionStorage.removeItem(KEY);
}

const well = (value) => !value?.errors?.length;

/** The JSON of variables with all that is known by now. */
export const filled = (text) =>
  text.replace(HOLE, (hole, name, path) => {
    const found = path.split('.').reduce((at, part) => at?.[part], known()[name]);
    return found === undefined || found === null ? hole : JSON.stringify(found);
  });

/** The names of the steps that variables still wait for. */
export const missing = (text) => [...new Set([...text.matchAll(HOLE)].map((hole) => hole[1]))];

function known() {
  const [day, time] = new Date().toISOString().split('T');
  const slug = `piece-${day}-${time.slice(0, 8)}`.replaceAll(':', '');
  return { ...answers.get(), Today: { month: day.slice(0, 7), slug } };
}
