import { stringifyJson } from '../../../sdk/src/json.ts';
import type { ServerFile } from '../client-settings.ts';
import type { Output } from '../output.ts';
import { quoteForShell } from '../shell.ts';
import { cleanLine, formatMs } from '../terminal.ts';
import type { SampleOutcome } from './sample.ts';

export type Announcement = {
  readonly out: Output;
  readonly server: ServerFile;
  readonly release: string;
  readonly tookMs: number;
  /** Only on the first start. */
  readonly adminKey: string | null;
  readonly dataFolder: string;
  readonly keyFile: string | null;
  readonly sample: SampleOutcome | null;
};

/** Says that the server is ready, and everything needed to use it. */
export function announce(said: Announcement): void {
  const { out, server, sample } = said;
  const document = {
    release: said.release,
    url: server.url,
    inferenceUrl: server.inferenceUrl,
    dataFolder: said.dataFolder,
    keyFile: said.keyFile,
    adminKey: said.adminKey,
    sample,
    readyMs: Math.round(said.tookMs),
  };
  out.result('serve.ready', document, () => {
    const lines = [
      `${out.paint('bold', `Slipway ${said.release} is ready`)} ${out.paint('dim', `(${formatMs(said.tookMs)})`)}`,
      '',
      `  Predictions  ${server.inferenceUrl}`,
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
      '  slipway deploy ./model.onnx --name churn    from your own model to an endpoint',
      '  slipway status                              what is serving, and is it healthy',
      '  slipway logs -f                             what happens, as it happens',
      '',
      `Stop with Ctrl-C. Everything is kept in ${said.dataFolder}; nothing is sent anywhere.`,
    ];
    return lines.join('\n');
  });
}

function sampleLines({ sample, server, out }: Announcement): string[] {
  if (sample === null) return [];
  if (sample.kind === 'failed') {
    out.warn(`The sample model could not be deployed: ${cleanLine(sample.reason)}`);
    return [];
  }
  const answer = stringifyJson(sample.prediction);
  const body = stringifyJson(sample.request);
  const url = `${server.inferenceUrl}/endpoints/${sample.endpoint}/predict`;
  return [
    `  Sample       ${sample.endpoint}@${sample.version} answered in ${formatMs(sample.predictionMs)}: ${cleanLine(answer)}`,
    '',
    out.paint('bold', 'Try it'),
    `  curl -s ${url} -H 'content-type: application/json' \\`,
    `    -d ${quoteForShell(body)}`,
  ];
}
