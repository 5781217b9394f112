import type { Client, Endpoint, Target } from '../../sdk/src/client.ts';
import { breaks } from './breaking.ts';
import { CliError } from './cli-error.ts';
import { commandText, quoteWord } from './command-text.ts';
import { adviceText } from './command-word.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseCount } from './key-values.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName, checkNameOption } from './name-check.ts';
import { cleanLine, formatAge, formatBytes, type Paint, type Style, table } from './terminal.ts';
import type { NounSpec, OptionSpec, VerbCall } from './verb.ts';

const NAME = { name: 'endpoint', help: 'its name', completes: 'endpoint' } as const;
const PINS: OptionSpec = {
  flags: '--pin <version>',
  help: 'a further version kept loaded, called as name@version; may be repeated',
  repeatable: true,
};
const REASON: OptionSpec = { flags: '--reason <text>', help: 'why, for the audit log' };

export const endpoints: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'All endpoints of the project',
      examples: [['slipway endpoints list', 'what is served, and whether it is ready']],
      options: LIST_OPTIONS,
      async run(call) {
        const client = await call.client();
        const items = await listing(call, (options) => client.endpoints.list(options));
        call.out.result('endpoints.list', items, () => endpointsTable(items, call));
      },
    },
    {
      name: 'show',
      summary: 'One endpoint: target, state, loaded versions',
      examples: [['slipway endpoints show churn', 'what is known of the endpoint churn']],
      args: [NAME],
      async run(call) {
        const client = await call.client();
        const endpoint = await client.endpoints.show(call.args[0]!, { signal: call.signal });
        call.out.result('endpoints.show', endpoint, () => endpointText(endpoint, call.out.paint));
      },
    },
    {
      name: 'create',
      summary: 'Serve a version under a name',
      examples: [
        ['slipway endpoints create churn --model churn --version 2', 'version 2 answers'],
        [
          'slipway endpoints create churn-next --model churn --alias challenger --environment staging',
          'follows an alias',
        ],
      ],
      args: [{ name: 'endpoint', help: 'its name' }],
      options: [
        { flags: '--model <model>', help: "the model; the endpoint's name unless given" },
        { flags: '--version <number>', help: 'the version that answers; the latest unless given' },
        { flags: '--alias <name>', help: 'an alias to follow, instead of a version' },
        { flags: '--environment <label>', help: 'such as staging; production unless given' },
        PINS,
      ],
      changes: true,
      run: create,
    },
    {
      name: 'update',
      summary: 'Move an endpoint to another version or alias',
      about:
        'The new version is loaded and warmed first; the old one answers until then. Waits until the new one answers: exit code 7 when it does not.',
      examples: [
        ['slipway endpoints update churn --version 1', 'back to version 1'],
        [
          'slipway endpoints update churn --alias champion --reason "follow the champion"',
          'from now on it follows the alias',
        ],
      ],
      args: [NAME],
      options: [
        { flags: '--version <number>', help: 'the version that answers' },
        { flags: '--alias <name>', help: 'an alias to follow, instead of a version' },
        { flags: '--environment <label>', help: 'another label' },
        PINS,
        { flags: '--no-pins', help: 'keep no further version loaded' },
        { flags: '--allow-breaking', help: 'although the signature breaks callers' },
        REASON,
        { flags: '--if-revision <number>', help: 'only if the endpoint still has this revision' },
        { flags: '--no-wait', help: 'return once it is set, while the old version may still answer' },
      ],
      changes: true,
      run: update,
    },
    {
      name: 'load',
      summary: 'Put an unloaded endpoint back into service',
      about: 'Waits until it answers: exit code 7 when it does not.',
      examples: [['slipway endpoints load churn', 'its versions are loaded and warmed']],
      args: [NAME],
      options: [REASON, { flags: '--no-wait', help: 'return once it is set, while it may still load' }],
      changes: true,
      run: (call) => setLoaded(call, true),
    },
    {
      name: 'unload',
      summary: 'Take an endpoint out of service, and free what its versions take',
      about: 'It stays known, with its target and pins; calls are answered with 503 until it is loaded again.',
      examples: [['slipway endpoints unload churn', 'calls under way are answered first']],
      args: [NAME],
      options: [REASON],
      changes: true,
      run: (call) => setLoaded(call, false),
    },
    {
      name: 'delete',
      summary: 'Take an endpoint away; its callers will get 404',
      examples: [['slipway endpoints delete churn --confirm=churn', 'the model and its versions stay']],
      args: [NAME],
      changes: true,
      severe: true,
      async run(call) {
        const name = call.args[0]!;
        const client = await call.client();
        const before = await client.endpoints.show(name, { signal: call.signal });
        if (!call.dryRun)
          await call.confirm(`endpoint ${name}`, name, 'Its callers will get 404. The model and its versions stay.');
        await client.endpoints.remove(name, { ifRevision: before.revision, dryRun: call.dryRun, signal: call.signal });
        call.out.result('endpoints.delete', { deleted: name, dryRun: call.dryRun }, () =>
          call.dryRun
            ? `Would take away endpoint ${name}. Nothing was changed.`
            : `Took away endpoint ${name}\nUndo: ${commandText(call.options, `endpoints create ${name} --model ${before.model} ${targetFlag(before.target)} --environment ${before.environment}${before.pins.map((pin) => ` --pin ${pin}`).join('')}`)}`,
        );
      },
    },
  ],
};

function readTarget(call: VerbCall): Target | null {
  const version = call.options.text('version');
  const alias = checkNameOption('--alias', call.options.text('alias'));
  if (version !== undefined && alias !== undefined) {
    throw new CliError('usage', '--version and --alias exclude each other', {
      hint: 'Give the one that the endpoint should name.',
    });
  }
  if (version !== undefined) return { version: parseCount('--version', version) };
  return alias === undefined ? null : { alias };
}

const targetFlag = (target: Target): string =>
  'alias' in target ? `--alias ${target.alias}` : `--version ${target.version}`;

const targetText = (target: Target): string =>
  'alias' in target ? `alias ${target.alias}` : `version ${target.version}`;

const pinsOf = (call: VerbCall): number[] => call.options.list('pin').map((pin) => parseCount('--pin', pin));

async function create(call: VerbCall): Promise<void> {
  const name = checkName('endpoint', call.args[0]!);
  const model = checkNameOption('--model', call.options.text('model')) ?? name;
  const client = await call.client();
  const target = readTarget(call) ?? {
    version: (await client.versions.show(model, 'latest', { signal: call.signal })).version,
  };
  const environment = call.options.text('environment');
  const pins = pinsOf(call);
  const endpoint = await client.endpoints.create(
    {
      name,
      model,
      target,
      ...(environment === undefined ? {} : { environment }),
      ...(pins.length === 0 ? {} : { pins }),
    },
    { dryRun: call.dryRun, signal: call.signal },
  );
  call.out.result('endpoints.create', { ...endpoint, dryRun: call.dryRun }, () =>
    call.dryRun
      ? `Would make endpoint ${name}: ${model}, ${targetText(target)}. Nothing was changed.`
      : `Made endpoint ${name}: ${model}, ${targetText(target)}\nNext: ${commandText(call.options, `why ${name}`)}\nUndo: ${commandText(call.options, `endpoints delete ${name} --confirm=${name}`)}`,
  );
}

async function update(call: VerbCall): Promise<number> {
  const name = call.args[0]!;
  const client = await call.client();
  const before = await client.endpoints.show(name, { signal: call.signal });
  const { options } = call;
  const target = readTarget(call);
  const environment = options.text('environment');
  const pins = pinsOf(call);
  const reason = options.text('reason');
  const revision = options.text('ifRevision');
  const asked = {
    ...(target === null ? {} : { target }),
    ...(environment === undefined ? {} : { environment }),
    ...(pins.length > 0 ? { pins } : options.unlessNo('pins') ? {} : { pins: [] }),
    ...(reason === undefined ? {} : { reason }),
    ...(options.flag('allowBreaking') ? { allowBreaking: true } : {}),
  };
  const set = await client.endpoints.update(name, asked, {
    ifRevision: revision === undefined ? before.revision : parseCount('--if-revision', revision),
    dryRun: call.dryRun,
    signal: call.signal,
  });
  const waits = !call.dryRun && options.unlessNo('wait');
  const after = waits ? await waited(call, client, set) : set;
  const changes = changesText(before, after);
  const from = before.targetVersion;
  const breaking =
    from !== null && from !== after.targetVersion && !call.dryRun
      ? await breaks(client, after.model, after.targetVersion ?? 'latest', from, call.signal)
      : false;
  const answers = after.status.state === 'ready' && after.status.servingVersion === after.targetVersion;
  call.out.result('endpoints.update', { before, after, dryRun: call.dryRun }, () => {
    if (changes.length === 0) return `No changes: endpoint ${name} is like this already`;
    if (call.dryRun) return `Would change endpoint ${name}: ${changes.join('; ')}. Nothing was changed.`;
    const undo = `endpoints update ${before.name} ${undoFlags(before, after)}${breaking ? ' --allow-breaking' : ''}`;
    return [
      `Endpoint ${name}: ${changes.join('; ')}`,
      servingText(after, waits),
      `Undo: ${commandText(options, undo)}`,
      ...(answers ? [] : [`Next: ${commandText(options, `why ${name}`)}`]),
    ].join('\n');
  });
  return waits && changes.length > 0 && !answers ? EXIT_CODES.unavailable.code : EXIT_CODES.ok.code;
}

async function setLoaded(call: VerbCall, loaded: boolean): Promise<number> {
  const name = call.args[0]!;
  const client = await call.client();
  const before = await client.endpoints.show(name, { signal: call.signal });
  const reason = call.options.text('reason');
  const set = await client.endpoints.update(
    name,
    { loaded, ...(reason === undefined ? {} : { reason }) },
    { ifRevision: before.revision, dryRun: call.dryRun, signal: call.signal },
  );
  const waits = loaded && !call.dryRun && call.options.unlessNo('wait');
  const after = waits ? await waited(call, client, set) : set;
  const answers = after.status.state === 'ready';
  const [verb, back] = loaded ? ['load', 'unload'] : ['unload', 'load'];
  call.out.result(`endpoints.${verb}`, { before, after, dryRun: call.dryRun }, () => {
    if (before.loaded === loaded) return `No changes: endpoint ${name} is ${verb}ed already`;
    if (call.dryRun) return `Would ${verb} endpoint ${name}. Nothing was changed.`;
    return [
      `${loaded ? 'Loaded' : 'Unloaded'} endpoint ${name}`,
      loaded ? servingText(after, waits) : 'Calls are answered with 503 until it is loaded again',
      `Undo: ${commandText(call.options, `endpoints ${back} ${name}`)}`,
      ...(loaded && !answers ? [`Next: ${commandText(call.options, `why ${name}`)}`] : []),
    ].join('\n');
  });
  return waits && !answers ? EXIT_CODES.unavailable.code : EXIT_CODES.ok.code;
}

/** The endpoint once it answers with what it names, or as it was when waiting ended. */
async function waited(call: VerbCall, client: Client, endpoint: Endpoint): Promise<Endpoint> {
  if (endpoint.targetVersion === null) return endpoint;
  call.out.progress(`Loading ${endpoint.model}@${endpoint.targetVersion} …`);
  try {
    return await client.endpoints.untilServing(endpoint, endpoint.targetVersion, {
      signal: call.signal,
      onWaiting: (reason) => call.out.progress(reason),
    });
  } catch (error) {
    if (!call.signal.aborted) throw error;
    throw new CliError('interrupted', 'Stopped waiting', {
      hint: `The endpoint is set, and the server goes on moving it; until then the version before answers. Look: ${commandText(call.options, `why ${endpoint.name}`)}`,
      cause: error,
    });
  } finally {
    call.out.progress(null);
  }
}

function servingText({ model, targetVersion, status }: Endpoint, waited: boolean): string {
  const answering = status.servingVersion === null ? 'nothing' : `${model}@${status.servingVersion}`;
  if (status.servingVersion === targetVersion && status.state === 'ready') return `${answering} answers`;
  if (!waited) return `${answering} answers until ${model}@${targetVersion} is loaded and warm`;
  return `${model}@${targetVersion} does not answer yet, ${answering} does: ${cleanLine(status.reason ?? status.state)}`;
}

function changesText(before: Endpoint, after: Endpoint): string[] {
  const changes: string[] = [];
  if (targetText(before.target) !== targetText(after.target)) {
    changes.push(`${targetText(before.target)} → ${targetText(after.target)}`);
  }
  if (before.targetVersion !== after.targetVersion && 'alias' in after.target) {
    changes.push(`version ${before.targetVersion} → ${after.targetVersion}`);
  }
  if (before.environment !== after.environment)
    changes.push(`environment ${before.environment} → ${after.environment}`);
  const pins = (endpoint: Endpoint): string => endpoint.pins.join(' ') || 'none';
  if (pins(before) !== pins(after)) changes.push(`pins ${pins(before)} → ${pins(after)}`);
  return changes;
}

/** Puts back what was changed, and nothing else. */
function undoFlags(before: Endpoint, after: Endpoint): string {
  const pins = before.pins.length === 0 ? '--no-pins' : before.pins.map((pin) => `--pin ${pin}`).join(' ');
  return [
    targetText(before.target) === targetText(after.target) ? '' : targetFlag(before.target),
    before.environment === after.environment ? '' : `--environment ${quoteWord(before.environment)}`,
    before.pins.join(' ') === after.pins.join(' ') ? '' : pins,
  ]
    .filter((flags) => flags !== '')
    .join(' ');
}

const STATE_STYLE: Record<Endpoint['status']['state'], Style> = {
  ready: 'green',
  starting: 'yellow',
  updating: 'yellow',
  failed: 'red',
  unloaded: 'yellow',
  unknown: 'red',
};

export function endpointsTable(items: readonly Endpoint[], { options, out: { paint } }: VerbCall): string {
  if (items.length === 0) {
    return `No endpoint yet. Make one with: ${commandText(options, 'deploy ./model.onnx --name churn')}\n`;
  }
  const rows = items.map((endpoint) => [
    endpoint.name,
    paint(STATE_STYLE[endpoint.status.state], endpoint.status.state),
    endpoint.status.servingVersion === null ? '-' : `${endpoint.model}@${endpoint.status.servingVersion}`,
    'alias' in endpoint.target
      ? `${endpoint.target.alias} (${endpoint.targetVersion ?? 'gone'})`
      : String(endpoint.target.version),
    endpoint.environment,
    formatAge(endpoint.updatedAt),
    cleanLine(endpoint.createdBy),
    cleanLine(endpoint.status.reason ?? ''),
  ]);
  return table(
    [
      { title: 'endpoint' },
      { title: 'state' },
      { title: 'serving' },
      { title: 'target' },
      { title: 'environment' },
      { title: 'since' },
      { title: 'by' },
      { title: '' },
    ],
    rows,
    paint,
  );
}

function endpointText(endpoint: Endpoint, paint: Paint): string {
  const { status } = endpoint;
  const lines = [
    `${paint('bold', endpoint.name)}  ${paint(STATE_STYLE[status.state], status.state)}${status.reason === null ? '' : `: ${cleanLine(status.reason)}`}`,
    ...(status.fix === null ? [] : [`${paint('cyan', 'Fix:')} ${adviceText(cleanLine(status.fix))}`]),
    `Serving      ${status.servingVersion === null ? 'nothing' : `${endpoint.model}@${status.servingVersion}`}${status.observedAt === null ? '' : `, observed ${formatAge(status.observedAt)}`}`,
    `Target       ${targetText(endpoint.target)}${'alias' in endpoint.target ? ` (version ${endpoint.targetVersion ?? 'gone'})` : ''}`,
    `Environment  ${endpoint.environment}, project ${endpoint.project}`,
    `Address      ${endpoint.url ?? 'no gateway is connected'}`,
    `Changed      ${formatAge(endpoint.updatedAt)}, made ${formatAge(endpoint.createdAt)} by ${cleanLine(endpoint.createdBy)}; revision ${endpoint.revision}`,
  ];
  if (status.versions.length > 0) {
    const rows = status.versions.map((version) => [
      String(version.version),
      version.state,
      formatAge(version.since),
      formatBytes(version.memoryBytes),
      String(version.restarts),
      String(version.waiting),
      cleanLine(version.reason ?? ''),
    ]);
    const right = true;
    const columns = [
      { title: 'version', right },
      { title: 'state' },
      { title: 'since' },
      { title: 'memory', right },
      { title: 'restarts', right },
      { title: 'waiting', right },
      { title: '' },
    ];
    lines.push('', table(columns, rows, paint).trimEnd());
  }
  return `${lines.join('\n')}\n`;
}
