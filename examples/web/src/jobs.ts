// Owns waiting for long work, which the API answers with a job to ask for.
import type { Client } from '@urql/core';
import { JOB } from './documents.js';
import type { JobQuery } from './gql/graphql.js';
import { dataOf } from './results.js';

export type Job = Extract<NonNullable<JobQuery['node']>, { __typename: 'Job' }>;

/** The job once it has ended, well or not; `shown` gets it each time that it was asked for. */
export async function ended(
  client: Client,
  id: string,
  shown: (job: Job) => void = () => {},
  pauseMs = 1_000,
): Promise<Job> {
  for (;;) {
    const { node } = dataOf(await client.query(JOB, { id }, { requestPolicy: 'network-only' }));
    if (node?.__typename !== 'Job') throw new Error(`${id} is no job`);
    shown(node);
    if (node.status === 'DONE' || node.status === 'FAILED') return node;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
