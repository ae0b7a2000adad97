// Holds schema.graphql against the rules, and fails where it breaks one without a written reason,
// or where a reason is no longer needed.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ESLint } from 'eslint';
import { parse } from 'graphql';
import { EXCEPTIONS } from './exceptions.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const overrideConfigFile = fileURLToPath(new URL('eslint.config.js', import.meta.url));
const tree = parse(readFileSync(`${root}/schema.graphql`, 'utf8'));

const holds = (node, line) =>
  node.loc.startToken.line <= line && line <= node.loc.endToken.line;

// Such as `Content.versions`, for a line of the schema.
function coordinate(line) {
  const type = tree.definitions.find((node) => holds(node, line));
  const field = (type.fields ?? type.values ?? []).find((node) => holds(node, line));
  return [type, field].filter(Boolean).map((node) => node.name.value).join('.');
}

const eslint = new ESLint({ cwd: root, overrideConfigFile });
const [{ messages }] = await eslint.lintFiles('schema.graphql');
const left = new Set(EXCEPTIONS.flatMap(({ rule, at }) => at.map((each) => `${rule} ${each}`)));
const allowed = new Set(left);
let failed = 0;
for (const { ruleId, message, line } of messages) {
  const found = line ? `${ruleId?.replace('@graphql-eslint/', '')} ${coordinate(line)}` : '';
  left.delete(found);
  if (allowed.has(found)) continue;
  failed += 1;
  console.error(`${found} (line ${line}): ${message}`);
}
for (const each of left) console.error(`${each}: keeps the rule; take it out of exceptions.js`);
console.log(`${messages.length} exceptions, ${failed} of them without a reason`);
process.exit(failed || left.size ? 1 : 0);
