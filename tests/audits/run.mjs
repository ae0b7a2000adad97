// Asks a running server everything that the GraphQL over HTTP specification says of servers, and
// fails where it does not do as it says: what it must do, should do and may do alike.
import { serverAudits } from 'graphql-http';

const url = process.argv[2];
if (!url) {
  console.error('usage: node run.mjs http://127.0.0.1:8000/graphql');
  process.exit(2);
}

let failed = 0;
const audits = serverAudits({ url, fetchFn: fetch });
for (const audit of audits) {
  const result = await audit.fn();
  if (result.status !== 'ok') {
    failed += 1;
    console.error(`${result.status} ${audit.id} ${audit.name}: ${result.reason}`);
  }
}
console.log(`${audits.length - failed} of ${audits.length} audits hold`);
process.exit(failed ? 1 : 0);
