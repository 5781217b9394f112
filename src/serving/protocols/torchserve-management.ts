/**
 * TorchServe's management API over what Slipway has: a model is an endpoint, a worker is the runner of a version, of which there is one. Changes are control's to permit
 * and to do, with the caller's own key.
 */
import { SlipwayError } from '../../base/errors.ts';
import { isJsonType, readJsonBody } from './json-body.ts';
import { untilLoaded } from './model-repository.ts';
import {
  type ActionCall,
  type EndpointView,
  type HeldVersion,
  HTTP_STATUSES,
  type Protocol,
  type ServerView,
  type WireHead,
  type WrittenAnswer,
  written,
} from './protocol.ts';
import { describeManagement, describeModel } from './torchserve-api.ts';
import { writeTorchserveError } from './torchserve-errors.ts';
import { versionName, versionNumber } from './torchserve-versions.ts';

const NO_TOKENS = 'Tokens are API keys here: `slipway keys create` makes them, with scopes and an end';
const MOST_MODELS = 1000;

export const torchserveManagement: Protocol = {
  name: 'torchserve-management',
  routes: [
    { kind: 'read', path: '/', methods: ['OPTIONS'], public: true, read: (server) => describeManagement(server) },
    { kind: 'read', path: '/api-description', public: true, read: (server) => describeManagement(server) },
    { kind: 'read', path: '/models', read: (server, _, head) => listModels(server, head) },
    { kind: 'action', path: '/models', act: register },
    { kind: 'read', path: '/models/{model}', read: (server, _, head) => describe(server, head) },
    {
      kind: 'read',
      path: '/models/{endpoint}',
      methods: ['OPTIONS'],
      read: (_, endpoint: EndpointView | null) => describeModel(endpoint!),
    },
    { kind: 'action', path: '/models/{model}', methods: ['PUT'], act: scale },
    { kind: 'action', path: '/models/{model}', methods: ['DELETE'], act: unregister },
    { kind: 'read', path: '/models/{model}/{version}', read: (server, _, head) => describe(server, head) },
    { kind: 'action', path: '/models/{model}/{version}', methods: ['PUT'], act: scale },
    { kind: 'action', path: '/models/{model}/{version}', methods: ['DELETE'], act: unregister },
    { kind: 'action', path: '/models/{model}/{version}/set-default', methods: ['PUT'], act: setDefault },
    { kind: 'absent', path: '/token', reason: NO_TOKENS },
  ],
  statuses: HTTP_STATUSES,
  writeError: writeTorchserveError,
};

// ---- parameters

type Parameters = ReadonlyMap<string, string>;

function bad(message: string, hint?: string): SlipwayError {
  return new SlipwayError('invalid_request', message, hint === undefined ? {} : { hint });
}

/** @throws SlipwayError `invalid_request` for one that is not known, or given twice */
function parametersOf({ query = '' }: WireHead, known: readonly string[]): Parameters {
  const found = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name))
      throw bad(`Parameter ${name.slice(0, 100)} is not known here.`, `Known: ${known.join(', ')}.`);
    if (found.has(name)) throw bad(`Parameter ${name} is given twice.`);
    found.set(name, value);
  }
  return found;
}

function numberOf(parameters: Parameters, name: string, otherwise: number): number {
  const text = parameters.get(name);
  if (text === undefined || text === '') return otherwise;
  if (!/^\d{1,9}$/.test(text))
    throw bad(`Parameter ${name} must be a whole number, not ${JSON.stringify(text.slice(0, 50))}.`);
  return Number(text);
}

const isTrue = (parameters: Parameters, name: string): boolean => parameters.get(name)?.toLowerCase() === 'true';

function status(text: string, code = 200): WrittenAnswer {
  return written({ contentType: 'application/json', body: JSON.stringify({ status: text }), status: code });
}

// ---- questions

const nameIn = ({ params }: WireHead): string => params!['model']!.split('@')[0]!;
const versionIn = ({ params }: WireHead): string | undefined => {
  const version = params!['version'] ?? params!['model']!.split('@')[1];
  return version === undefined ? undefined : versionNumber(version);
};

function urlOf({ model, endpoint, version }: HeldVersion): string {
  return `${model ?? endpoint}@${version}`;
}

function listModels(server: ServerView, head: WireHead): unknown {
  const parameters = parametersOf(head, ['limit', 'next_page_token']);
  const limit = Math.min(numberOf(parameters, 'limit', 100), MOST_MODELS);
  const from = numberOf(parameters, 'next_page_token', 0);
  if (limit < 1) throw bad('Parameter limit must be at least 1.');
  const names = new Map<string, HeldVersion>();
  const serving = servingOf(server);
  for (const held of server.held()) {
    if (!names.has(held.endpoint) || held.version === serving.get(held.endpoint)) names.set(held.endpoint, held);
  }
  const all = [...names.values()];
  const to = from + limit;
  const models = all.slice(from, to).map((held) => ({ modelName: held.endpoint, modelUrl: urlOf(held) }));
  return { ...(to < all.length ? { nextPageToken: `${to}` } : {}), models };
}

function servingOf(server: ServerView): Map<string, number> {
  return new Map(server.endpoints().map(({ name, version }) => [name, version]));
}

/** @throws SlipwayError `endpoint_not_found` */
function heldBy(server: ServerView, name: string): readonly HeldVersion[] {
  const held = server.held().filter(({ endpoint }) => endpoint === name);
  if (held.length === 0) throw new SlipwayError('endpoint_not_found', `Model not found: ${name}`);
  return held;
}

function describe(server: ServerView, head: WireHead): unknown {
  const parameters = parametersOf(head, ['customized']);
  const held = heldBy(server, nameIn(head));
  return chosen(server, held, head).map((one) => describeVersion(server, one, isTrue(parameters, 'customized')));
}

/** The version that is asked for; the one that answers where none is. */
function chosen(server: ServerView, held: readonly HeldVersion[], head: WireHead): readonly HeldVersion[] {
  const version = versionIn(head);
  if (version === 'all') return held;
  const wanted = version ?? `${servingOf(server).get(nameIn(head)) ?? held.at(-1)!.version}`;
  const found = held.filter((one) => `${one.version}` === wanted);
  if (found.length > 0) return found;
  throw new SlipwayError('version_not_found', `Model version: ${version} does not exist for model: ${nameIn(head)}`);
}

const WORKER_STATES: Readonly<Record<HeldVersion['state'], string>> = {
  ready: 'READY',
  loading: 'LOADING',
  unloading: 'UNLOADING',
  unavailable: 'ERROR',
};

/** What is not known is left out: a runner may live inside the gateway, and GPUs are not used. */
function describeVersion(server: ServerView, held: HeldVersion, customized: boolean): unknown {
  const { endpoint, version, state, reason, runner } = held;
  const workers =
    runner === undefined
      ? []
      : [
          {
            id: `${endpoint}@${version}`,
            startTime: runner.since,
            status: WORKER_STATES[state],
            ...(runner.memoryBytes === null ? {} : { memoryUsage: runner.memoryBytes }),
            gpu: false,
            gpuUsage: 'N/A',
            ...(reason === null ? {} : { reason }),
          },
        ];
  const limits = runner?.limits;
  const view = customized ? server.endpoints().find(({ name }) => name === endpoint) : undefined;
  return {
    modelName: endpoint,
    modelVersion: version === null ? null : versionName(version),
    modelUrl: urlOf(held),
    engine: 'Slipway',
    runtime: runner?.engine ?? null,
    minWorkers: workers.length,
    maxWorkers: 1,
    ...(limits === undefined
      ? {}
      : {
          batchSize: limits.maxBatchRows,
          maxBatchDelay: limits.maxDelayMs,
          responseTimeout: Math.ceil(limits.runTimeoutMs / 1000),
          startupTimeout: Math.ceil(limits.loadTimeoutMs / 1000),
        }),
    loadedAtStartup: false,
    workers,
    ...(limits === undefined || runner === undefined
      ? {}
      : {
          jobQueueStatus: {
            remainingCapacity: Math.max(0, limits.queueLimit - runner.waiting),
            pendingRequests: runner.waiting,
          },
        }),
    ...(view === undefined
      ? {}
      : { customizedMetadata: { inputs: view.signature.inputs, outputs: view.signature.outputs } }),
  };
}

// ---- deeds

/** What a version says of itself, or nothing here has; the value that TorchServe has for those that name none is no wish. */
const NOT_BY_CALL: Readonly<Record<string, { readonly usual: readonly string[]; readonly instead: string }>> = {
  handler: { usual: [''], instead: 'the engine reads the model file; slipway.yaml says how inputs are prepared' },
  runtime: { usual: ['', 'PYTHON'], instead: 'the engine is chosen when a version is pushed' },
  batch_size: { usual: ['1'], instead: 'limits.maxBatchRows of slipway.yaml' },
  max_batch_delay: { usual: ['100'], instead: 'limits.maxDelayMs of slipway.yaml' },
  response_timeout: { usual: ['120'], instead: 'limits.runTimeoutMs of slipway.yaml' },
  startup_timeout: { usual: ['120'], instead: 'limits.loadTimeoutMs of slipway.yaml' },
  s3_sse_kms: { usual: ['', 'false'], instead: 'files come from the registry' },
  number_gpu: { usual: ['0'], instead: 'runners use no GPU' },
  timeout: { usual: ['-1', '0'], instead: 'a change waits at most 60 s' },
};

function assertByCall(parameters: Parameters): void {
  for (const [name, { usual, instead }] of Object.entries(NOT_BY_CALL)) {
    const value = parameters.get(name);
    if (value === undefined || usual.includes(value)) continue;
    throw new SlipwayError('unsupported_option', `Parameter ${name} cannot be set by a call here: ${instead}.`);
  }
}

function workersOf(count: number, name: string): number {
  if (count <= 1) return count;
  throw new SlipwayError('unsupported_option', `Parameter ${name} is ${count}, and a version has one worker here.`, {
    hint: 'Its runner shares runs among calls and uses limits.threads of slipway.yaml; several machines, or gateways, share a load.',
  });
}

async function register(call: ActionCall): Promise<unknown> {
  const known = ['url', 'model_name', 'initial_workers', 'synchronous', ...Object.keys(NOT_BY_CALL)];
  const parameters = call.body.byteLength > 0 ? bodyParameters(call, known) : parametersOf(call, known);
  const url = parameters.get('url') ?? '';
  if (url === '') throw bad('Parameter url is required.');
  assertByCall(parameters);
  const workers = workersOf(numberOf(parameters, 'initial_workers', 0), 'initial_workers');
  const [, model, version] = /^([a-z0-9][a-z0-9_-]*)@([a-z0-9][a-z0-9_.-]*)$/.exec(url) ?? [];
  if (model === undefined || version === undefined) {
    throw bad(
      `Failed to download archive from: ${url.slice(0, 200)}`,
      'Name a version of the registry, model@version or model@alias; `slipway push` brings a model file there.',
    );
  }
  const name = parameters.get('model_name') || model;
  const number = versionNumber(version);
  const target = /^[1-9]\d{0,14}$/.test(number) ? Number(number) : version;
  try {
    await call.changeEndpoint(name, { create: { model, version: target } });
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'already_exists') throw error;
    throw new SlipwayError(
      error.code,
      `Model version ${version} is already registered for model ${name}`,
      error.hint === undefined ? {} : { hint: error.hint },
    );
  }
  const registered = `Model "${name}" Version: ${typeof target === 'number' ? versionName(target) : target} registered with`;
  if (workers === 0) {
    await call.changeEndpoint(name, { loaded: false });
    return status(`${registered} 0 initial workers. Use scale workers API to add workers for the model.`);
  }
  if (!isTrue(parameters, 'synchronous')) return status('Processing worker updates...', 202);
  await untilLoaded(call, name);
  return status(`${registered} 1 initial workers`);
}

/** The same as JSON, which it takes too. */
function bodyParameters(call: ActionCall, known: readonly string[]): Parameters {
  if (!isJsonType(call.headers['content-type'])) throw bad('The body must be JSON.');
  const value = readJsonBody(call);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('The body must be an object.');
  const query = new URLSearchParams();
  for (const [name, one] of Object.entries(value as Record<string, unknown>)) {
    if (typeof one === 'object') throw bad('The members of the body must be texts, numbers, true or false.');
    query.set(name, String(one));
  }
  return parametersOf({ ...call, query: `${query}` }, known);
}

async function scale(call: ActionCall): Promise<unknown> {
  const parameters = parametersOf(call, [
    'min_worker',
    'max_worker',
    'synchronous',
    'model_version',
    'number_gpu',
    'timeout',
  ]);
  assertByCall(parameters);
  const min = numberOf(parameters, 'min_worker', 1);
  const max = numberOf(parameters, 'max_worker', min);
  if (max < min) throw bad('max_worker cannot be less than min_worker.');
  const workers = workersOf(min, 'min_worker');
  const name = nameIn(call);
  const given = parameters.get('model_version');
  const version = versionIn(call) ?? (given === undefined ? undefined : versionNumber(given));
  const held = heldBy(call.server, name);
  if (version !== undefined && !held.some((one) => `${one.version}` === version)) {
    throw new SlipwayError('version_not_found', `Model version: ${version} does not exist for model: ${name}`);
  }
  if (version !== undefined && held.length > 1) {
    throw new SlipwayError('unsupported_option', `The versions of ${name} are loaded and unloaded together.`, {
      hint: `DELETE /models/${name}/${version} keeps that version loaded no longer.`,
    });
  }
  await call.changeEndpoint(name, { loaded: workers > 0 });
  if (!isTrue(parameters, 'synchronous')) return status('Processing worker updates...', 202);
  if (workers > 0) await untilLoaded(call, name);
  const which = version === undefined ? '' : `, version: ${versionName(Number(version))}`;
  return status(`Workers scaled to ${workers} for model: ${name}${which}`);
}

async function setDefault(call: ActionCall): Promise<unknown> {
  parametersOf(call, []);
  const name = nameIn(call);
  const version = versionIn(call) ?? '';
  heldBy(call.server, name);
  if (!/^[1-9]\d{0,14}$/.test(version)) {
    throw new SlipwayError('version_not_found', `Model version ${version} does not exist for model ${name}`);
  }
  await call.changeEndpoint(name, { version: Number(version) });
  return status(`Default version successfully updated for model "${name}" to "${versionName(Number(version))}"`);
}

async function unregister(call: ActionCall): Promise<unknown> {
  parametersOf(call, []);
  const name = nameIn(call);
  const held = heldBy(call.server, name);
  const version = versionIn(call);
  if (version === undefined) await call.changeEndpoint(name, { remove: true });
  else {
    const [one] = chosen(call.server, held, call);
    const isDefault = one!.version === (servingOf(call.server).get(name) ?? held.at(-1)!.version);
    if (isDefault && held.length > 1) {
      throw new SlipwayError('not_permitted', `Cannot remove default version for model ${name}`);
    }
    await call.changeEndpoint(name, isDefault ? { remove: true } : { unpin: one!.version! });
  }
  return status(`Model "${name}" unregistered`);
}
