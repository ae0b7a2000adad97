// Owns what happens between the button and the answer: steps are filled in, and remembered.
import { parse } from 'graphql';
import { ask, code } from './asking.js';
import { filled, missing, remember } from './answers.js';
import { named } from './jobs.js';
import { session } from './session.js';

/** Sends what the editors say; answers without asking where a step before is missing. */
export async function fetcher({ query, variables, operationName }, options) {
  const text = filled(JSON.stringify(variables ?? {}));
  const [before] = missing(text);
  if (before) return needs(before);
  const request = { query, variables: JSON.parse(text), operationName: operationName ?? undefined };
  const answer = await ask(request, options?.headers);
  if (code(answer) === 'UNAUTHENTICATED') await session.ended();
  remember(operationName ?? only(query), answer);
  return answer;
}

function needs(name) {
  const step = named(name);
  const message = step
    ? `First comes “${step.title}”: something of its answer goes into this.`
    : `Nothing was answered to ${name} yet.`;
  return { errors: [{ message }] };
}

/** The name of the only operation, where there is one. */
function only(query) {
  try {
    return parse(query).definitions[0]?.name?.value;
  } catch {
    return undefined; // what is wrong with it is the server's to say
  }
}
