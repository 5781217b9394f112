import type { DeployEvent, Deployed, DeployInput, Lineage, Version } from '../../sdk/src/client.ts';
import { stringifyJson } from '../../sdk/src/json.ts';
import { readArtifact } from './artifact-files.ts';
import { CliError, toCliError } from './cli-error.ts';
import { commandWord } from './command-word.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseCount, parseKeyValues } from './key-values.ts';
import type { Output } from './output.ts';
import { diffText, signatureTable } from './signature-text.ts';
import { cleanLine, formatBytes, formatMs } from './terminal.ts';
import { createUploadProgress } from './upload-progress.ts';
import type { OptionSpec, VerbCall, VerbSpec } from './verb.ts';
import { curlText, validationText } from './version-text.ts';

/** Options of everything that registers a version: `deploy` and `models push`. */
export const VERSION_OPTIONS: readonly OptionSpec[] = [
  { flags: '--alias <name>', help: 'set this alias to the new version' },
  { flags: '--tag <key=value>', help: 'tag of the version; may be repeated', repeatable: true },
  { flags: '--engine <name>', help: 'engine that runs it; chosen by the format unless given' },
  { flags: '--card <file>', help: 'model card, a Markdown file' },
  { flags: '--data-ref <text>', help: 'lineage: where the training data is' },
  { flags: '--code-commit <hash>', help: 'lineage: commit of the training code' },
  { flags: '--parent-version <number>', help: 'lineage: the version it was trained from' },
  { flags: '--trained-by <name>', help: 'lineage: who or what trained it' },
  { flags: '--reason <text>', help: 'why, for the history' },
  { flags: '--no-wait', help: 'return once it is registered, before validation' },
];

export const deploy: VerbSpec = {
  name: 'deploy',
  summary: 'From a model file to a served, tried endpoint',
  about:
    'Uploads the file or folder, registers it as a new version, validates it, points the endpoint at it, waits until it answers and makes one ' +
    'prediction. Repeating it makes the next version; callers see no interruption. A version that would break the callers of its endpoint is refused.',
  examples: [
    ['slipway deploy ./model.onnx --name churn', 'makes the endpoint churn, or its next version'],
    [
      'slipway deploy ./model-folder --name churn --alias champion',
      'a folder with slipway.yaml; the endpoint follows the alias',
    ],
    [
      'slipway deploy ./model.onnx --name churn --allow-breaking',
      'although the signature changed in a way that breaks callers',
    ],
  ],
  args: [{ name: 'path', help: 'the model file, or a folder with it and slipway.yaml', completes: 'file' }],
  options: [
    { flags: '--name <model>', help: "the model's name; made from the file's unless given" },
    { flags: '--endpoint <name>', help: "the endpoint's name; the model's unless given" },
    { flags: '--environment <label>', help: 'label of the endpoint, such as staging; production unless given' },
    { flags: '--allow-breaking', help: "serve it although it breaks the endpoint's callers" },
    ...VERSION_OPTIONS,
  ],
  changes: true,
  run: runDeploy,
};

async function runDeploy(call: VerbCall): Promise<number> {
  const { options, out } = call;
  const path = call.args[0]!;
  const client = await call.client();
  const artifact = await readArtifact(path, call.signal);
  const input: DeployInput = {
    ...(await readVersionInput(call)),
    model: options.text('name') ?? artifact.suggestedName,
    files: artifact.files,
    ...optional('endpoint', options.text('endpoint')),
    ...optional('environment', options.text('environment')),
    ...(options.flag('allowBreaking') ? { allowBreaking: true } : {}),
  };
  const progress = createProgress(out, artifact.sizeBytes);
  let deployed: Deployed;
  try {
    deployed = await client.deploy(input, {
      signal: call.signal,
      dryRun: call.dryRun,
      wait: options.unlessNo('wait'),
      onEvent: progress.onEvent,
    });
  } catch (error) {
    throw explainRefusal(error, call, path, input.model);
  } finally {
    progress.stop();
  }
  const inferenceUrl = (await client.status({ signal: call.signal }).catch(() => null))?.inferenceUrl ?? null;
  out.result('deploy', deployed, () => deployedText(deployed, { out, path, inferenceUrl, project: client.project }));
  return exitCodeOf(deployed);
}

/** What `deploy` and `models push` read alike. */
export async function readVersionInput(call: VerbCall): Promise<Omit<DeployInput, 'model' | 'files'>> {
  const { options } = call;
  const parent = options.text('parentVersion');
  const lineage: Lineage = {
    ...optional('data', options.text('dataRef')),
    ...optional('codeCommit', options.text('codeCommit')),
    ...(parent === undefined ? {} : { parentVersion: parseCount('--parent-version', parent) }),
    ...optional('trainedBy', options.text('trainedBy')),
  };
  const card = options.text('card');
  const tags = parseKeyValues('--tag', options.list('tag'));
  return {
    ...optional('alias', options.text('alias')),
    ...optional('engine', options.text('engine')),
    ...optional('reason', options.text('reason')),
    ...(Object.keys(lineage).length > 0 ? { lineage } : {}),
    ...(Object.keys(tags).length > 0 ? { tags } : {}),
    ...(card === undefined ? {} : { card: await (await import('node:fs/promises')).readFile(card, 'utf8') }),
  };
}

function optional<K extends string>(name: K, value: string | undefined): { [P in K]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]: string });
}

/** Messages while it goes on, and after 2 s of silence what it is waiting for. */
export function createProgress(out: Output, sizeBytes: number): { onEvent(event: DeployEvent): void; stop(): void } {
  const upload = createUploadProgress(out, sizeBytes);
  let waitingFor = 'Uploading';
  let quietSince = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - quietSince) / 1000);
    if (seconds < 1) return;
    if (process.stderr.isTTY) out.progress(`${waitingFor} … ${seconds} s`);
    else if (seconds % 2 === 0) out.note(`${waitingFor}: ${seconds} s so far`);
  }, 1000);
  const tell = (done: string | null, next: string): void => {
    if (done !== null) out.note(done);
    waitingFor = next;
    quietSince = performance.now();
    out.progress(`${next} …`);
  };
  return {
    stop() {
      clearInterval(timer);
      out.progress(null);
    },
    onEvent(event) {
      switch (event.kind) {
        case 'upload':
          quietSince = performance.now();
          return upload(event.progress);
        case 'model_created':
          return tell(null, `Registering the first version of ${event.model}`);
        case 'validating':
          return tell(`Registered ${nameOf(event.version)} (${formatBytes(sizeBytes)})`, 'Validating');
        case 'validated':
          return tell(null, 'Setting the endpoint');
        case 'switching':
          return tell(null, `Loading and warming for endpoint ${event.endpoint.name}`);
        case 'waiting':
          waitingFor = event.reason;
          return out.progress(event.reason);
      }
    },
  };
}

const nameOf = (version: Version): string => `${version.model}@${version.version}`;

/** A refused signature says what would break, and how to insist. */
function explainRefusal(error: unknown, call: VerbCall, path: string, model: string): unknown {
  const failure = toCliError(error);
  if (failure.code !== 'signature_breaking') return error;
  const extra = (error as { problem?: { extra?: { diff?: { changes?: unknown }; changes?: unknown } } }).problem?.extra;
  const changes = extra?.diff?.changes ?? extra?.changes;
  const diff = Array.isArray(changes) ? `\n${diffText(changes, call.out.paintNotes).trimEnd()}` : '';
  return new CliError(failure.reason, `${failure.message}${diff}`, {
    code: failure.code,
    hint: `Nothing was changed. Mend the model, deploy it under a new endpoint (--endpoint ${model}-next), or insist: slipway deploy ${path} --name ${model} --allow-breaking`,
    requestId: failure.requestId,
    cause: error,
  });
}

export function exitCodeOf(deployed: Deployed): number {
  if (deployed.outcome === 'rejected') return EXIT_CODES.validation.code;
  if (deployed.outcome === 'not_ready') return EXIT_CODES.unavailable.code;
  return EXIT_CODES.ok.code;
}

type TextDeps = { out: Output; path: string; inferenceUrl: string | null; project: string };

export function deployedText(deployed: Deployed, deps: TextDeps): string {
  const { paint } = deps.out;
  const { version } = deployed;
  if (version === null)
    return `Would make the model ${deployed.model}, its version 1 and its endpoint. Nothing was changed.\n`;
  const sections = [
    headline(deployed, deps),
    '',
    paint('bold', 'Signature'),
    signatureTable(version.signature, paint).trimEnd(),
  ];
  if (deployed.diff !== null && deployed.previousVersion !== null) {
    sections.push(
      '',
      paint('bold', `Against version ${deployed.previousVersion}, which was served before`),
      diffText(deployed.diff.changes, paint).trimEnd(),
    );
  }
  if (version.validation !== null) {
    sections.push('', paint('bold', 'Validation'), validationText(version.validation, version, paint).trimEnd());
  }
  if (deployed.prediction !== null && deployed.predictionMs !== null) {
    const first = stringifyJson(deployed.prediction.predictions[0]);
    sections.push('', paint('bold', `First answer, ${formatMs(deployed.predictionMs)}`), `  ${cleanLine(first)}`);
  }
  if (deployed.endpoint !== null && deps.inferenceUrl !== null && deployed.outcome !== 'registered') {
    sections.push(
      '',
      paint('bold', 'Call it'),
      curlText(deps.inferenceUrl, deps.project, deployed.endpoint.name, version.sampleRequest),
    );
  }
  sections.push('', paint('bold', 'Next'), ...nextCommands(deployed, deps.path).map((line) => `  ${line}`));
  return `${sections.join('\n')}\n`;
}

function headline(deployed: Deployed, { out }: TextDeps): string {
  const { paint } = out;
  const version = deployed.version!;
  const name = paint('bold', nameOf(version));
  const endpoint = deployed.endpoint?.name ?? '';
  switch (deployed.outcome) {
    case 'served': {
      const before = deployed.previousVersion;
      return before === null
        ? `${name} is served by the new endpoint ${paint('bold', endpoint)}`
        : `${name} is served by endpoint ${paint('bold', endpoint)} (version ${before} → ${version.version})`;
    }
    case 'registered':
      return version.status === 'ready'
        ? `${name} is registered and valid`
        : `${name} is registered; its validation goes on, and no endpoint was made or moved`;
    case 'rejected': {
      const kept = deployed.previousVersion === null ? '' : `; version ${deployed.previousVersion} is still served`;
      return `${paint('red', `${nameOf(version)} did not pass validation`)}: ${cleanLine(version.statusReason ?? 'no reason was given')}${kept}`;
    }
    case 'not_ready': {
      const status = deployed.endpoint?.status;
      const fix = status?.fix ? `\n${paint('cyan', 'Fix:')} ${cleanLine(status.fix)}` : '';
      return `${paint('red', `${nameOf(version)} is not served yet`)}: ${cleanLine(status?.reason ?? `it is still ${version.status}`)}${fix}`;
    }
    case 'planned': {
      const made = deployed.endpointCreated
        ? 'make an endpoint for it'
        : `move the endpoint from version ${deployed.previousVersion} to it`;
      return `Would register ${name} and ${made}. Nothing was changed.`;
    }
  }
}

function nextCommands(deployed: Deployed, path: string): string[] {
  const word = commandWord();
  const version = deployed.version!;
  const endpoint = deployed.endpoint?.name ?? null;
  if (deployed.outcome === 'planned') return [`${word} deploy ${path} --name ${deployed.model}    do it`];
  if (deployed.outcome === 'rejected') {
    return [
      `${word} versions show ${nameOf(version)}    everything that was seen`,
      `${word} deploy ${path} --name ${deployed.model}    again, with a mended file`,
    ];
  }
  if (deployed.outcome === 'registered') {
    const serve =
      endpoint === null
        ? `endpoints create ${deployed.model} --model ${deployed.model} --version ${version.version}`
        : `endpoints update ${endpoint} --version ${version.version}`;
    return [`${word} versions show ${nameOf(version)}    how its validation went`, `${word} ${serve}    serve it`];
  }
  if (endpoint === null) return [`${word} versions show ${nameOf(version)}`];
  const target = deployed.endpoint!.target;
  const lines = [`${word} predict ${endpoint} --file rows.csv    a whole table`, `${word} why ${endpoint}`];
  if (deployed.previousVersion !== null && deployed.previousVersion !== version.version) {
    const undo =
      'alias' in target
        ? `${word} aliases set ${deployed.model} ${target.alias} ${deployed.previousVersion}`
        : `${word} endpoints update ${endpoint} --version ${deployed.previousVersion}`;
    lines.push(`${undo}    undo: back to version ${deployed.previousVersion}`);
  } else if (deployed.endpointCreated) {
    lines.push(`${word} endpoints delete ${endpoint} --confirm=${endpoint}    undo: take the endpoint away`);
  }
  return lines;
}
