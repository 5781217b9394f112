import type { Client, Deployed, DeployInput, DeployOptions, Lineage } from '../../sdk/src/client.ts';
import { readArtifact } from './artifact-files.ts';
import { breaks } from './breaking.ts';
import { CliError, toCliError } from './cli-error.ts';
import { sameCommand } from './command-text.ts';
import { needsKey } from './curl-text.ts';
import { createProgress } from './deploy-progress.ts';
import { deployedText, type TextContext } from './deployed-text.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseCount, parseKeyValues } from './key-values.ts';
import { checkNameOption } from './name-check.ts';
import { diffText } from './signature-text.ts';
import type { OptionSpec, VerbCall, VerbSpec } from './verb.ts';

/** Options of everything that registers a version: `deploy` and `models push`. */
export const VERSION_OPTIONS: readonly OptionSpec[] = [
  { flags: '--alias <name>', help: 'set this alias to the new version' },
  { flags: '--tag <key=value>', help: 'tag of the version; may be repeated', repeatable: true },
  {
    flags: '--engine <name>',
    help: 'auto, tabular, onnxruntime or python; auto (unless given) takes tabular where it covers the whole model, agrees and is faster',
  },
  {
    flags: '--allow-code',
    help: "let the model's own code run, in a Python process of its own; needs a key with the scope code",
  },
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
      'slipway deploy ./mlflow-model --name churn --allow-code',
      'a model in Python: says what it found, makes its environment, runs it apart',
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
  const { options } = call;
  const endpoint = checkNameOption('--endpoint', options.text('endpoint'));
  return registerVersion(call, 'deploy', (client, input, how) =>
    client.deploy(
      {
        ...input,
        ...optional('endpoint', endpoint),
        ...optional('environment', options.text('environment')),
        ...(options.flag('allowBreaking') ? { allowBreaking: true } : {}),
      },
      how,
    ),
  );
}

/** What `deploy` and `models push` do alike: read, send with messages, and say what came of it. */
export async function registerVersion(
  call: VerbCall,
  verb: 'deploy' | 'models push',
  send: (client: Client, input: DeployInput, how: DeployOptions) => Promise<Deployed>,
): Promise<number> {
  const { options, out } = call;
  const path = call.args[0]!;
  const asked = await readVersionInput(call);
  const name = checkNameOption('--name', options.text('name'));
  const client = await call.client();
  const artifact = await readArtifact(path, call.signal);
  const model = name ?? artifact.suggestedName;
  if (model === '') {
    throw new CliError('usage', `No name can be made from ${path}`, {
      hint: 'Give one with --name, such as my-model.',
    });
  }
  const input: DeployInput = { ...asked, model, files: artifact.files };
  const progress = createProgress(call, artifact.sizeBytes);
  let deployed: Deployed;
  try {
    deployed = await send(client, input, {
      signal: call.signal,
      dryRun: call.dryRun,
      wait: options.unlessNo('wait'),
      onEvent: progress.onEvent,
    });
  } catch (error) {
    throw explain(error, call, model, progress.whereItStopped());
  } finally {
    progress.stop();
  }
  if (out.json) out.result(verb.replace(' ', '.'), deployed, () => '');
  else {
    const context = await contextOf(call, client, verb, path, deployed);
    out.result(verb, deployed, () => deployedText(deployed, context));
  }
  return exitCodeOf(deployed);
}

/** What is asked besides, for the text. Whatever cannot be told leaves its part out. */
async function contextOf(
  call: VerbCall,
  client: Client,
  verb: 'deploy' | 'models push',
  path: string,
  deployed: Deployed,
): Promise<TextContext> {
  const { signal } = call;
  const { version, previousVersion, outcome } = deployed;
  const served = deployed.endpoint !== null && (outcome === 'served' || outcome === 'not_ready');
  const inferenceUrl = served ? ((await client.status({ signal }).catch(() => null))?.inferenceUrl ?? null) : null;
  const key = inferenceUrl !== null && (await needsKey(inferenceUrl, signal)) ? '$SLIPWAY_API_KEY' : null;
  const undoBreaks =
    served && version !== null && previousVersion !== null && previousVersion !== version.version
      ? await breaks(client, deployed.model, version.version, previousVersion, signal)
      : false;
  const followers =
    verb === 'models push' && outcome === 'registered'
      ? await client.endpoints
          .list({ limit: 100, signal })
          .all()
          .then((all) => all.filter((one) => one.model === deployed.model))
          .catch(() => [])
      : [];
  return {
    out: call.out,
    options: call.options,
    verb,
    path,
    inferenceUrl,
    key,
    project: client.project,
    undoBreaks,
    followers,
  };
}

async function readVersionInput(call: VerbCall): Promise<Omit<DeployInput, 'model' | 'files'>> {
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
    ...optional('alias', checkNameOption('--alias', options.text('alias'))),
    ...optional('engine', options.text('engine')),
    ...optional('reason', options.text('reason')),
    ...(options.flag('allowCode') ? { allowCode: true } : {}),
    ...(Object.keys(lineage).length > 0 ? { lineage } : {}),
    ...(Object.keys(tags).length > 0 ? { tags } : {}),
    ...(card === undefined ? {} : { card: await (await import('node:fs/promises')).readFile(card, 'utf8') }),
  };
}

function optional<K extends string>(name: K, value: string | undefined): { [P in K]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]: string });
}

/** A refused signature says what would break, and how to insist; what was interrupted says how far it got. */
function explain(error: unknown, call: VerbCall, model: string, stopped: string): unknown {
  const failure = toCliError(error);
  const { reason, message, code, requestId } = failure;
  if (reason === 'interrupted') return new CliError(reason, message, { code, hint: stopped, cause: error });
  if (code !== 'signature_breaking') return error;
  const extra = (error as { problem?: { extra?: { diff?: { changes?: unknown }; changes?: unknown } } }).problem?.extra;
  const changes = extra?.diff?.changes ?? extra?.changes;
  const diff = Array.isArray(changes) ? `\n${diffText(changes, call.out.paintNotes).trimEnd()}` : '';
  return new CliError(reason, `${message}${diff}`, {
    code,
    hint: `Nothing was changed. Mend the model, deploy it under a new endpoint (--endpoint ${model}-next), or insist: ${sameCommand({ with: '--allow-breaking' })}`,
    requestId,
    cause: error,
  });
}

function exitCodeOf(deployed: Deployed): number {
  if (deployed.outcome === 'rejected') return EXIT_CODES.validation.code;
  if (deployed.outcome === 'not_ready') return EXIT_CODES.unavailable.code;
  return EXIT_CODES.ok.code;
}
