import type { AddressInfo, ListenOptions, Server } from 'node:net';
import { SlipwayError } from '../errors.ts';

/** A process that is just ending may hold the port for a moment: a killed server's successor waits for it. */
const PORT_WAIT_MS = 3000;
const PORT_RETRY_MS = 100;

/** The setting that names a port, for those who are told that it cannot be had. */
export type PortSetting =
  | 'SLIPWAY_HTTP_PORT'
  | 'SLIPWAY_GRPC_PORT'
  | 'SLIPWAY_CONTROL_PORT'
  | 'SLIPWAY_PROTOCOL_PORTS'
  | 'SLIPWAY_CONTRACT';

export type ListenAddress = {
  /** A name or an address, IPv6 with or without brackets. */
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly portSetting: PortSetting;
};

/**
 * Listens, and gives the base URL by which this machine reaches the server.
 * @param open one attempt
 * @throws SlipwayError `port_taken`, `invalid_setting`
 */
export async function listenUntilFree(
  server: { address(): AddressInfo | string | null },
  address: ListenAddress,
  open: (address: { host: string; port: number }) => Promise<unknown>,
): Promise<string> {
  const host = address.host.replace(/^\[|\]$/g, '');
  const untilMs = performance.now() + PORT_WAIT_MS;
  for (;;) {
    try {
      await open({ host, port: address.port });
      return baseUrl(host, (server.address() as AddressInfo).port);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code !== 'EADDRINUSE' || performance.now() >= untilMs) throw listenError(error, code, address);
      await new Promise((resolve) => setTimeout(resolve, PORT_RETRY_MS));
    }
  }
}

/** One attempt of a server of Node's, whose `error` is otherwise everybody's. */
export function openOnce(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** By which this machine reaches what listens there. */
export function baseUrl(host: string, port: number): string {
  const bare = host.replace(/^\[|\]$/g, '');
  const local = LOCAL[bare] ?? bare;
  return `http://${local.includes(':') ? `[${local}]` : local}:${port}`;
}

/** All addresses of a machine are none that one could connect to. */
const LOCAL: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

const FAULTS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not use that port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'there is no such host',
};

function listenError(error: unknown, code: string, { host, port, portSetting }: ListenAddress): unknown {
  if (code === 'EADDRINUSE') {
    return new SlipwayError('port_taken', `${host}:${port} is used by another program`, {
      hint: `End that program, or choose another port: ${portSetting}, where 0 takes any free one.`,
    });
  }
  const why = FAULTS[code];
  if (why === undefined) return error;
  return new SlipwayError('invalid_setting', `Cannot listen on ${host}:${port}: ${why}`, {
    hint: `Change SLIPWAY_HOST or ${portSetting}.`,
  });
}
