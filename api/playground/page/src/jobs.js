// Owns the examples: jobs and their steps, as they lie in the folder of examples.
import listed from '../../examples/jobs.json';

const texts = import.meta.glob('../../examples/*/*.graphql', {
  query: '?raw',
  import: 'default',
  eager: true,
});
const variables = import.meta.glob('../../examples/*/*.json', {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** The jobs, each with its steps in their order. */
export const JOBS = listed.map((job) => ({
  ...job,
  steps: Object.keys(texts)
    .filter((path) => path.includes(`/${job.key}/`))
    .sort()
    .map((path) => step(job.key, path)),
}));

const STEPS = JOBS.flatMap((job) => job.steps);

function step(job, path) {
  const query = flowing(texts[path]);
  return {
    job,
    query,
    name: /^(?:query|mutation) (\w+)/m.exec(query)[1],
    title: query.slice(2, query.indexOf('\n')),
    variables: variables[path.replace('.graphql', '.json')] ?? '',
  };
}

/** The document with its first sentences in one line, which the editor breaks where it is full. */
function flowing(text) {
  return text.replace(/^#\n((?:# .*\n)+)/m, (_, lines) => {
    const sentences = lines.trim().replaceAll('\n#', '');
    return `#\n${sentences}\n`;
  });
}

/** The step of this name, if there is one. */
export const named = (name) => STEPS.find((each) => each.name === name);

/** The step whose text this is, unchanged. */
export const pristine = (query) => STEPS.find((each) => each.query.trim() === query?.trim());
