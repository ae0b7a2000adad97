// Owns a bad connection: a proxy that hands every request on, and cuts the client off where the
// server has answered a key for the first time. usage: node cutting.mjs http://127.0.0.1:8000 PORT
import { createServer } from 'node:http';

const [server, port] = process.argv.slice(2);
const seen = new Set();

async function handOn(request) {
  const body = [];
  for await (const chunk of request) body.push(chunk);
  const { host, connection, 'content-length': length, ...headers } = request.headers;
  return fetch(server + request.url, {
    method: request.method,
    headers,
    ...(body.length && { body: Buffer.concat(body) }),
  });
}

createServer(async (request, response) => {
  const answer = await handOn(request);
  const text = Buffer.from(await answer.arrayBuffer());
  const key = request.headers['idempotency-key'];
  if (key && !seen.has(key)) {
    seen.add(key);
    request.socket.destroy();
    return;
  }
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(text);
}).listen(Number(port), '127.0.0.1');
