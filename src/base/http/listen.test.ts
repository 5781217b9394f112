import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { listenUntilFree } from './listen.ts';

const servers: { close(): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const listen = (host: string, port: number): Promise<string> => {
  const server: Server = createServer((_request, response) => response.end('here'));
  servers.push(server);
  const open = (address: { host: string; port: number }): Promise<void> =>
    new Promise((resolve, reject) => server.once('error', reject).listen(address, resolve));
  return listenUntilFree(server, { host, port, portSetting: 'SLIPWAY_HTTP_PORT' }, open);
};

test.each([
  ['127.0.0.1', /^http:\/\/127\.0\.0\.1:\d+$/],
  ['localhost', /^http:\/\/localhost:\d+$/],
  ['0.0.0.0', /^http:\/\/127\.0\.0\.1:\d+$/],
])('a server on %s answers at the URL it is said to have', async (host, form) => {
  const url = await listen(host, 0);
  expect(url).toMatch(form);
  expect(await (await fetch(url)).text()).toBe('here');
});

test('a port that becomes free within a moment is taken', async () => {
  const other = createSocketServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  setTimeout(() => other.close(), 200);
  expect(await listen('127.0.0.1', port)).toBe(`http://127.0.0.1:${port}`);
});

test('a port that stays taken is named, with the setting that changes it', async () => {
  const other = createSocketServer();
  servers.push(other);
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  await expect(listen('127.0.0.1', port)).rejects.toMatchObject({
    code: 'port_taken',
    message: expect.stringContaining(`127.0.0.1:${port}`),
    hint: expect.stringContaining('SLIPWAY_HTTP_PORT'),
  });
});

test.each(['192.0.2.1', 'no-such-host.invalid'])(
  'an address that is not of this machine, %s, is a wrong setting',
  async (host) => {
    await expect(listen(host, 0)).rejects.toMatchObject({ code: 'invalid_setting' });
  },
);
