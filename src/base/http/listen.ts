import type { FastifyInstance } from 'fastify';
import { SlipwayError } from '../errors.ts';

/** A process that is just ending may hold the port for a moment: a killed server's successor waits for it. */
const PORT_WAIT_MS = 3000;
const PORT_RETRY_MS = 100;

/**
 * Listens, and gives the base URL.
 * @param address port 0 takes any free one
 * @throws SlipwayError `port_taken`
 */
export async function listen(app: FastifyInstance, address: { host: string; port: number }): Promise<string> {
  const { host, port } = address;
  const until = performance.now() + PORT_WAIT_MS;
  for (;;) {
    try {
      return await app.listen({ host, port });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw error;
      if (code === 'EADDRINUSE' && performance.now() < until) {
        await new Promise((done) => setTimeout(done, PORT_RETRY_MS));
        continue;
      }
      throw portError(code, host, port);
    }
  }
}

export function portError(code: string, host: string, port: number): SlipwayError {
  const where = `${host}:${port}`;
  switch (code) {
    case 'EACCES':
      return new SlipwayError('port_taken', `This user may not listen on ${where}`, {
        hint: 'Take a port from 1024 on.',
      });
    case 'EADDRNOTAVAIL':
      return new SlipwayError('port_taken', `This machine has no address ${host}`, {
        hint: 'Set SLIPWAY_HOST to one of its own.',
      });
    default:
      return new SlipwayError('port_taken', `Another program listens on ${where}`, {
        hint: 'Stop it, or choose another port with SLIPWAY_HTTP_PORT or SLIPWAY_CONTROL_PORT (0 takes any free one).',
      });
  }
}
