import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createUnreadAnswers } from './unread-answers.ts';

const MIB = 1024 * 1024;
const open: { destroy(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.destroy();
});

/** Both ends of real connections; clients read nothing until they are told to. */
async function connections(count: number): Promise<{ sockets: Set<Socket>; clients: Socket[] }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => {}));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  const clients = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}));
  open.push(...clients, { destroy: () => server.close() });
  while (sockets.size < count) await once(server, 'connection');
  return { sockets, clients };
}

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('answers that nobody reads leave no room, until their connections are closed for it', async () => {
  const { sockets } = await connections(3);
  const answers = createUnreadAnswers({ sockets, maxBytes: 100 * MIB, waitingBytes: () => 0 });
  for (const socket of sockets) {
    answers.makeRoom(30 * MIB);
    socket.write(Buffer.alloc(30 * MIB));
  }
  await after(50);
  // What the system took off our hands is no longer ours; the rest is more than two thirds.
  expect(() => answers.makeRoom(40 * MIB)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect(sockets.size).toBe(3);
  await after(3200);
  answers.makeRoom(40 * MIB);
  await after(50);
  expect(sockets.size).toBe(2); // one was enough
});

test('those who read, however slowly, are not closed; there is room when they have read', async () => {
  const { sockets, clients } = await connections(1);
  const answers = createUnreadAnswers({ sockets, maxBytes: 64 * MIB, waitingBytes: () => 0 });
  answers.makeRoom(60 * MIB);
  for (const socket of sockets) socket.write(Buffer.alloc(60 * MIB));
  let had = 0;
  for (let i = 0; i < 9; i++) {
    clients[0]!.resume();
    for (const wanted = had + 4 * MIB; had < wanted; ) had += ((await once(clients[0]!, 'data')) as [Buffer])[0].length;
    clients[0]!.pause();
    await after(400);
    expect(() => answers.makeRoom(60 * MIB)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  }
  expect(sockets.size).toBe(1);
  clients[0]!.resume();
  for (const socket of sockets) await once(socket, 'drain');
  answers.makeRoom(60 * MIB);
});

test('answers that are being written count, and one larger than all there may be is refused for good', () => {
  const answers = createUnreadAnswers({ sockets: new Set(), maxBytes: 10, waitingBytes: () => 6 });
  answers.makeRoom(4);
  expect(() => answers.makeRoom(5)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect(() => answers.makeRoom(11)).toThrow(expect.objectContaining({ code: 'answer_too_large' }));
});
