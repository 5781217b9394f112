import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createClient } from './client.ts';

let server: Server;
afterEach(
  () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
);

/** A stream that says these parts, one every 30 ms, and then keeps the connection and is silent. */
async function stream(parts: readonly string[]): Promise<ReturnType<typeof createClient>> {
  server = createServer(async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) {
      response.write(part);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return createClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, retries: 0 });
}

test('a stream that falls silent is dead; one that says it is still there is not', async () => {
  const client = await stream([
    'retry: 2000\nevent: open\ndata: {}\n\n',
    ...Array<string>(10).fill(': still here\n\n'),
    'event: changed\ndata: {"changed":["registry"]}\n\n',
  ]);
  const seen: unknown[] = [];
  const startedMs = performance.now();
  const listening = (async () => {
    for await (const changed of client.events({ quietMs: 150 })) seen.push(changed);
  })();
  await expect(listening).rejects.toMatchObject({ code: 'timeout', status: 0 });
  expect(seen).toEqual([[], ['registry']]);
  expect(performance.now() - startedMs).toBeGreaterThan(11 * 30 + 100);
});

test('who stops listening is told that it was stopped, not that the stream is dead', async () => {
  const client = await stream(['event: open\ndata: {}\n\n']);
  const stop = new AbortController();
  const listening = (async () => {
    for await (const _ of client.events({ quietMs: 10_000, signal: stop.signal })) stop.abort();
  })();
  await expect(listening).rejects.toMatchObject({ code: 'aborted' });
});
