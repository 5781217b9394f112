import { resolve } from 'node:path';
import { stringifyJson } from '../../../sdk/src/json.ts';
import type { ServerFile } from '../client-settings.ts';
import { commandWord } from '../command-word.ts';
import { curlText } from '../curl-text.ts';
import type { Output } from '../output.ts';
import { cleanLine, formatMs } from '../terminal.ts';
import type { FirstModelOutcome } from './first-model.ts';

const USUAL_FOLDER = '.slipway';

export type Announcement = {
  readonly out: Output;
  readonly server: ServerFile;
  readonly release: string;
  readonly tookMs: number;
  /** Only on the first start. */
  readonly adminKey: string | null;
  readonly keyNeeded: boolean;
  readonly dataFolder: string;
  readonly keyFile: string | null;
  readonly sample: FirstModelOutcome | null;
  /** Where a container's platform asks: `sagemaker at port 8080`. */
  readonly contract: string | null;
};

/** Says that the server is ready, and everything needed to use it. */
export function announce(said: Announcement): void {
  const { out, server, sample } = said;
  const document = {
    release: said.release,
    url: server.url,
    inferenceUrl: server.inferenceUrl,
    grpcAddress: server.grpcAddress,
    protocolUrls: server.protocolUrls ?? {},
    dataFolder: said.dataFolder,
    keyFile: said.keyFile,
    adminKey: said.adminKey,
    sample,
    contract: said.contract,
    readyMs: Math.round(said.tookMs),
  };
  out.result('serve.ready', document, () => {
    const lines = [
      `${out.paint('bold', `Slipway ${said.release} is ready`)} ${out.paint('dim', `(${formatMs(said.tookMs)})`)}`,
      '',
      `  Predictions  ${server.inferenceUrl}${server.grpcAddress === null ? '' : `    gRPC ${server.grpcAddress}`}`,
      ...Object.entries(server.protocolUrls ?? {}).map(([name, url]) => `               ${name} alone at ${url}`),
      ...(said.contract === null ? [] : [`  Contract     ${said.contract}, on all addresses, without a key`]),
      `  Console      ${server.url}/console/`,
      `  Management   ${server.url}    API reference ${server.url}/api/docs`,
      said.adminKey === null
        ? `  Admin key    ${said.keyFile === null ? 'not kept on this machine' : `in ${said.keyFile}; the commands below find it`}`
        : `  Admin key    ${out.paint('bold', said.adminKey)}`,
      ...(said.adminKey === null
        ? []
        : [`               shown this once${said.keyFile === null ? '' : `, and kept in ${said.keyFile}`}`]),
      ...sampleLines(said),
      '',
      out.paint('bold', 'Next'),
      ...nextLines(said.dataFolder),
      '',
      `Stop with Ctrl-C. Everything is kept in ${said.dataFolder}; nothing is sent anywhere.`,
    ];
    return lines.join('\n');
  });
}

function sampleLines({ sample, server, out, adminKey, keyNeeded }: Announcement): string[] {
  if (sample === null) return [];
  if (sample.kind === 'failed') {
    out.warn(`The sample model could not be deployed: ${cleanLine(sample.reason)}`);
    return [];
  }
  const answer = stringifyJson(sample.prediction);
  const curl = curlText({
    inferenceUrl: server.inferenceUrl,
    project: 'default',
    endpoint: sample.endpoint,
    request: sample.request,
    key: keyNeeded ? adminKey : null,
  });
  return [
    `  Sample       ${sample.endpoint}@${sample.version} answered in ${formatMs(sample.predictionMs)}: ${cleanLine(answer)}`,
    '',
    out.paint('bold', 'Try it'),
    ...curl.split('\n').map((line) => `  ${line}`),
  ];
}

function nextLines(dataFolder: string): string[] {
  const word = commandWord();
  const rows: [string, string][] = [
    [`${word} deploy ./model.onnx --name churn`, 'from your own model to an endpoint'],
    [`${word} status`, 'what is serving, and is it healthy'],
    [`${word} logs -f`, 'what happens, as it happens'],
  ];
  // Elsewhere than at its usual place, the data folder has to be named to find server and key.
  if (dataFolder !== USUAL_FOLDER)
    rows.unshift([`export SLIPWAY_DATA=${resolve(dataFolder)}`, 'in the other terminal, so that it finds this server']);
  const width = Math.max(...rows.map(([command]) => command.length));
  return rows.map(([command, effect]) => `  ${command.padEnd(width)}    ${effect}`);
}
