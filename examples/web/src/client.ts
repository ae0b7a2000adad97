// Owns the way to Wellspring: as whom we ask, sending again, sending ids in place of documents.
import {
  Client,
  type CombinedError,
  type Exchange,
  type Operation,
  cacheExchange,
  fetchExchange,
  makeOperation,
  mapExchange,
} from '@urql/core';
import { type AuthUtilities, authExchange } from '@urql/exchange-auth';
import { retryExchange } from '@urql/exchange-retry';

export interface Session {
  token: string;
  expiresAt: string;
}

export interface Options {
  /** Such as https://api.example.com/graphql */
  url: string;
  /** The session of last time, from where your scripts keep secrets. */
  session?: Session | null;
  /** Shows the form, while requests wait, and sends it with `mutate`; null for rather not. */
  signIn: (mutate: AuthUtilities['mutate']) => Promise<Session | null>;
  /** Sends the ids of documents alone, to an installation that has our manifest. */
  trusted?: boolean;
  fetch?: typeof fetch;
}

/** A client of one person, whose answers it keeps; another person gets another one. */
export function connect(options: Options): Client {
  return new Client({
    url: options.url,
    preferGetMethod: false, // with 'within-url-limit' browsers keep answers by their ETag
    ...(options.fetch && { fetch: options.fetch }),
    exchanges: [
      cacheExchange,
      mapExchange({ onOperation: withKey }),
      signedIn(options),
      retryExchange({ initialDelayMs: 200, maxNumberAttempts: 4, retryIf: wasCutOff }),
      ...(options.trusted ? [mapExchange({ onOperation: byId })] : []),
      fetchExchange,
    ],
  });
}

/** What is sent again does not come back here: it keeps its key, and takes effect once. */
function withKey(operation: Operation): Operation {
  const key = { 'idempotency-key': crypto.randomUUID() };
  return operation.kind === 'mutation' ? withHeaders(operation, key) : operation;
}

function signedIn(options: Options): Exchange {
  let session = options.session ?? null;
  return authExchange(async ({ mutate }) => ({
    addAuthToOperation: (operation) =>
      session ? withHeaders(operation, { authorization: `Bearer ${session.token}` }) : operation,
    willAuthError: () => session !== null && Date.parse(session.expiresAt) <= Date.now(),
    didAuthError: (error) =>
      error.graphQLErrors.some((each) => each.extensions['code'] === 'UNAUTHENTICATED'),
    refreshAuth: async () => {
      session = null;
      session = await options.signIn(mutate);
    },
  }));
}

/** Whether no answer of the API came: its refusals are answers, and come the same again. */
function wasCutOff(error: CombinedError): boolean {
  const status: number = error.response?.status ?? 0;
  return error.networkError !== undefined && (status < 300 || status >= 502);
}

/** The document as its id in the manifest, to which the generator has put it. */
function byId(operation: Operation): Operation {
  const document = operation.query as { __meta__?: { hash: string } };
  const documentId = document.__meta__?.hash;
  if (!documentId) throw new Error('a document that is not in the manifest');
  const query = { ...operation.query, definitions: [], documentId };
  return makeOperation(operation.kind, { ...operation, query });
}

function withHeaders(operation: Operation, headers: Record<string, string>): Operation {
  const { fetchOptions } = operation.context;
  const given = typeof fetchOptions === 'function' ? fetchOptions() : (fetchOptions ?? {});
  return makeOperation(operation.kind, operation, {
    ...operation.context,
    fetchOptions: { ...given, headers: { ...given.headers, ...headers } },
  });
}
