import type { ProgramReady } from '../../base/program.ts';

/** Once a port is known it stays: clients of a restarted process find it where it was. Gives settings as environment variables. */
export function knownPorts(
  ready: Partial<
    Record<
      'control' | 'gateway',
      Pick<ProgramReady, 'url' | 'grpcAddress'> & Partial<Pick<ProgramReady, 'protocolUrls'>>
    >
  >,
): Record<string, string> {
  const alone = Object.entries(ready.gateway?.protocolUrls ?? {}).map(([name, url]) => `${name}=${portOf(url)}`);
  return {
    ...(ready.control ? { SLIPWAY_CONTROL_PORT: portOf(ready.control.url) } : {}),
    ...(ready.gateway ? { SLIPWAY_HTTP_PORT: portOf(ready.gateway.url) } : {}),
    ...(ready.gateway?.grpcAddress ? { SLIPWAY_GRPC_PORT: ready.gateway.grpcAddress.split(':').at(-1)! } : {}),
    ...(alone.length === 0 ? {} : { SLIPWAY_PROTOCOL_PORTS: alone.join(',') }),
  };
}

/** `URL` drops the port that its scheme has anyway. */
const portOf = (url: string): string => new URL(url).port || '80';
