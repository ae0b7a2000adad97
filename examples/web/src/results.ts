// Owns telling answers apart: data, what the caller can mend, what was refused, what never came.
import type { AnyVariables, OperationResult } from '@urql/core';

/** The API refused all of it; `code` is one of the list in docs/api.md. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly requestId: string,
    /** How long to wait before asking again, where that helps. */
    readonly retryAfterSeconds: number | null,
  ) {
    super(message);
  }
}

/** No answer came, however often it was asked for. */
export class Unreachable extends Error {}

/** What was asked for; raises `Refused` and `Unreachable`. */
export function dataOf<Data>(result: OperationResult<Data, AnyVariables>): Data {
  const { data, error } = result;
  const [first] = error?.graphQLErrors ?? [];
  if (first) {
    const wait: string | null = error?.response?.headers.get('retry-after') ?? null;
    const { code, requestId } = first.extensions as { code: string; requestId: string };
    throw new Refused(code, first.message, requestId, wait === null ? null : Number(wait));
  }
  if (error || !data) throw new Unreachable(error?.message ?? 'an empty answer');
  return data;
}

export interface Mistake {
  code: string;
  message: string;
  field?: string[] | null;
}

/** The sentences to show at each field of a form; under '' what belongs to none. */
export function byField(mistakes: readonly Mistake[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { field, message } of mistakes) {
    const name = (field ?? []).join('.');
    found.set(name, [...(found.get(name) ?? []), message]);
  }
  return found;
}
