import type { ServerStatus } from '../../sdk/src/client.ts';
import { RELEASE } from '../base/release.ts';
import { endpointsTable } from './endpoints.ts';
import { cleanLine, count, formatAge } from './terminal.ts';
import type { VerbCall, VerbSpec } from './verb.ts';

export const status: VerbSpec = {
  name: 'status',
  summary: 'What is serving, since when, is it healthy',
  examples: [['slipway status', 'one screen: the server, its gateways, every endpoint of the project']],
  async run(call) {
    const client = await call.client();
    const [server, endpoints] = await Promise.all([
      client.status({ signal: call.signal }),
      client.endpoints.list({ limit: 100, signal: call.signal }).all(),
    ]);
    if (server.release !== RELEASE) {
      call.out.warn(
        `the server is release ${cleanLine(server.release)}, this command ${RELEASE}; use the same release on both sides`,
      );
    }
    call.out.result('status', { server, endpoints, cli: { release: RELEASE } }, () =>
      [serverText(call, server, client.url), '', endpointsTable(endpoints, call)].join('\n'),
    );
  },
};

function serverText(call: VerbCall, server: ServerStatus, url: string): string {
  const { paint } = call.out;
  const { counts } = server;
  const healthy = counts.endpoints === counts.endpointsReady && server.gateways.length > 0;
  const verdict = healthy ? paint('green', 'healthy') : paint('red', 'needs attention');
  const gateways = server.gateways.map(
    (gateway) =>
      `Gateway      ${cleanLine(gateway.httpUrl)}${gateway.grpcAddress ? `, gRPC at ${cleanLine(gateway.grpcAddress)}` : ''}, heard ${formatAge(gateway.observedAt)}${gateway.generation === server.generation ? '' : paint('yellow', ', not at the latest state yet')}`,
  );
  return [
    `${paint('bold', `Slipway ${cleanLine(server.release)}`)}  ${verdict}: ${counts.endpointsReady} of ${count(counts.endpoints, 'endpoint')} ready; ${count(counts.models, 'model')}, ${count(counts.versions, 'version')}`,
    `Management   ${url}, started ${formatAge(server.startedAt)}`,
    ...(gateways.length > 0 ? gateways : [`Gateway      ${paint('red', 'none is connected')}`]),
  ].join('\n');
}
