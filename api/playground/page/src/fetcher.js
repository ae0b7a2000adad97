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
  const name = chosen(query, operationName);
  const request = { query, variables: JSON.parse(text), operationName: name };
  const answer = await ask(request, options?.headers);
  if (code(answer) === 'UNAUTHENTICATED') await session.ended();
  remember(name, answer);
  return answer;
}

function needs(name) {
  const step = named(name);
  const message = step
    ? `First comes “${step.title}”: something of its answer goes into this.`
    : `Nothing was answered to ${name} yet.`;
  return { errors: [{ message }] };
}

/** The operation to be carried out. A moment after its document was changed for another one,
 * GraphiQL still names one of that before. */
function chosen(query, wanted) {
  const names = operations(query);
  return names.includes(wanted) || names.length > 1 ? wanted : names[0];
}

function operations(query) {
  try {
    return parse(query).definitions.flatMap((each) =>
      each.kind === 'OperationDefinition' ? [each.name?.value] : [],
    );
  } catch {
    return []; // what is wrong with it is the server's to say
  }
}
