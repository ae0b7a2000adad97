// Owns sending requests to our own server, so that the cookie of the sign-in counts.

// No page of another origin can have a browser send this header beside the cookie.
const OURS = { 'x-wellspring-playground': '1' };

/** The answer to a GraphQL request, as it came; with `errors` where none came at all. */
export async function ask(request, headers = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: {
      accept: 'application/graphql-response+json, application/json',
      'content-type': 'application/json',
      ...OURS,
      ...headers,
    },
    body: JSON.stringify(request),
  }).catch(() => null);
  if (response === null) return failed('The server does not answer. Is it still running?');
  const answer = await response.json().catch(() => null);
  return answer ?? failed(`The server answers with ${response.status}, and no JSON.`);
}

/** Signs in, or out where nothing is given; what is wrong, or null. */
export async function enter(given) {
  const response = await fetch('/playground/session', {
    method: given ? 'POST' : 'DELETE',
    headers: given ? { 'content-type': 'application/json', ...OURS } : OURS,
    body: given && JSON.stringify(given),
  }).catch(() => null);
  if (response === null) return 'The server does not answer. Is it still running?';
  if (response.ok) return null;
  const answer = await response.json().catch(() => null);
  return answer?.errors?.[0]?.message ?? `The server answers with ${response.status}.`;
}

/** The code of what went wrong with a request as a whole, if something did. */
export const code = (answer) => answer.errors?.[0]?.extensions?.code;

const failed = (message) => ({ errors: [{ message }] });
