import { SlipwayApiError } from './api-error.ts';
import type { Client } from './client.ts';
import { type CallOptions, pause } from './transport.ts';
import type {
  CreateVersion,
  Endpoint,
  Lineage,
  PredictResponse,
  RunnerLimits,
  SignatureDiff,
  Tags,
  Target,
  Version,
} from './types.ts';
import type { FileSource, UploadProgress } from './upload.ts';

export type DeployInput = {
  readonly model: string;
  readonly files: readonly FileSource[];
  /** Default: the model's name. null registers only. */
  readonly endpoint?: string | null;
  readonly environment?: string;
  /** An alias to set to the new version; the endpoint then follows it. */
  readonly alias?: string;
  readonly allowBreaking?: boolean;
  readonly allowCode?: boolean;
  readonly lineage?: Omit<Lineage, 'conversion'>;
  readonly tags?: Tags;
  readonly card?: string;
  readonly engine?: string;
  readonly limits?: Partial<RunnerLimits>;
  readonly reason?: string;
};

export type DeployEvent =
  | { readonly kind: 'upload'; readonly progress: UploadProgress }
  | { readonly kind: 'model_created'; readonly model: string }
  | { readonly kind: 'validating'; readonly version: Version }
  /** What a long validation is doing, such as making a Python environment. */
  | { readonly kind: 'progress'; readonly version: Version; readonly reason: string }
  | { readonly kind: 'validated'; readonly version: Version }
  | { readonly kind: 'switching'; readonly endpoint: Endpoint }
  | { readonly kind: 'waiting'; readonly endpoint: string; readonly reason: string };

export type DeployOptions = CallOptions & {
  readonly onEvent?: (event: DeployEvent) => void;
  /** Checks everything that can be checked without changing anything; the bytes are uploaded and forgotten. */
  readonly dryRun?: boolean;
  /** false: return as soon as the version is registered. */
  readonly wait?: boolean;
  /** Longest wait for validation and for the endpoint, each. Default 5 minutes. */
  readonly waitMs?: number;
  /** How the served version is tried; `predict` of the client unless given. */
  readonly predict?: Client['predict'];
};

export type Deployed = {
  /**
   * `served`: the endpoint answers with this version. `registered`: stored and, unless not waited for, valid; no endpoint was asked
   * for or waited for. `rejected`: it did not pass validation, nothing else was changed. `not_ready`: the endpoint is set to it but
   * does not answer with it. `planned`: a dry run.
   */
  readonly outcome: 'served' | 'registered' | 'rejected' | 'not_ready' | 'planned';
  readonly model: string;
  readonly modelCreated: boolean;
  /** null only for a dry run of a new model. */
  readonly version: Version | null;
  readonly endpoint: Endpoint | null;
  readonly endpointCreated: boolean;
  /** The version the endpoint named before; null when there was none. */
  readonly previousVersion: number | null;
  /** Against the previous version, or the one before when no endpoint is asked for. */
  readonly diff: SignatureDiff | null;
  /** One real call with the version's sample request. */
  readonly prediction: PredictResponse | null;
  readonly predictionMs: number | null;
  /** Why a served version was not tried, as when the key may not predict; else null. */
  readonly predictionSkipped: string | null;
};

const DEFAULT_WAIT_MS = 5 * 60_000;

/** Uploads, registers, waits for validation, points the endpoint at the version, waits until it answers, and tries it. */
export async function deploy(client: Client, input: DeployInput, options: DeployOptions = {}): Promise<Deployed> {
  const call: CallOptions = options.signal === undefined ? {} : { signal: options.signal };
  const tell = options.onEvent ?? (() => undefined);
  const waitMs = options.waitMs ?? DEFAULT_WAIT_MS;
  const endpointName = input.endpoint === undefined ? input.model : input.endpoint;

  const before = endpointName === null ? null : await orNull(client.endpoints.show(endpointName, call));
  if (before !== null && before.model !== input.model) {
    throw new SlipwayApiError(`Endpoint ${before.name} serves the model ${before.model}, not ${input.model}`, {
      status: 409,
      code: 'in_use',
      hint: 'Name another endpoint with --endpoint, or deploy under the name of its model.',
    });
  }
  const model = await orNull(client.models.show(input.model, call));
  const files = [];
  for (const file of input.files) {
    files.push(await client.upload(file, { ...call, onProgress: (progress) => tell({ kind: 'upload', progress }) }));
  }

  const base = {
    model: input.model,
    modelCreated: model === null,
    endpoint: before,
    endpointCreated: before === null && endpointName !== null,
    previousVersion: before?.targetVersion ?? null,
    diff: null,
    prediction: null,
    predictionMs: null,
    predictionSkipped: null,
  };
  if (model === null) {
    await orExisting(client.models.create({ name: input.model }, { ...call, ...dryRunOf(options) }));
    if (options.dryRun) return { ...base, outcome: 'planned', version: null };
    tell({ kind: 'model_created', model: input.model });
  }
  const asked: CreateVersion = {
    files: files.map(({ path, digest }) => ({ path, digest })),
    ...(input.lineage === undefined ? {} : { lineage: input.lineage }),
    ...(input.tags === undefined ? {} : { tags: input.tags }),
    ...(input.card === undefined ? {} : { card: input.card }),
    ...(input.engine === undefined ? {} : { engine: input.engine }),
    ...(input.limits === undefined ? {} : { limits: input.limits }),
    ...(before === null ? {} : { endpoint: before.name }),
    ...(input.allowBreaking ? { allowBreaking: true } : {}),
    ...(input.allowCode ? { allowCode: true } : {}),
  };
  let registered: Version;
  try {
    registered = await client.versions.create(input.model, asked, { ...call, ...dryRunOf(options) });
  } catch (error) {
    // A model that was made for a file which is then refused would be left behind empty.
    const refused = error instanceof SlipwayApiError && error.status >= 400 && error.status < 500;
    if (model === null && refused) await removeIfEmpty(client, input.model);
    throw error;
  }
  if (options.dryRun) return { ...base, outcome: 'planned', version: registered };
  tell({ kind: 'validating', version: registered });
  if (options.wait === false) return { ...base, outcome: 'registered', version: registered };

  const version = await validated(client, registered, waitMs, call, tell);
  tell({ kind: 'validated', version });
  const against = (before === null ? registered.version - 1 : before.targetVersion) ?? 0;
  const diff = against > 0 ? await orNull(client.versions.diff(input.model, version.version, against, call)) : null;
  const known = { ...base, version, diff };
  if (version.status !== 'ready') return { ...known, outcome: version.status === 'failed' ? 'rejected' : 'not_ready' };

  if (endpointName === null) {
    if (input.alias !== undefined) await setAlias(client, input, input.alias, version.version, call);
    return { ...known, outcome: 'registered' };
  }
  const target = await point(client, input, endpointName, before, version.version, call);
  tell({ kind: 'switching', endpoint: target });
  const endpoint = await untilServing(client, target, version.version, {
    ...call,
    waitMs,
    onWaiting: (reason) => tell({ kind: 'waiting', endpoint: target.name, reason }),
  });
  if (endpoint.status.servingVersion !== version.version || endpoint.status.state !== 'ready') {
    return { ...known, outcome: 'not_ready', endpoint };
  }
  const started = performance.now();
  try {
    const prediction = await (options.predict ?? client.predict)(endpoint.name, version.sampleRequest, call);
    return { ...known, outcome: 'served', endpoint, prediction, predictionMs: performance.now() - started };
  } catch (error) {
    // A key of a build pipeline may deploy but not predict; the endpoint serves all the same, as was observed above.
    const refused = error instanceof SlipwayApiError && (error.status === 401 || error.status === 403);
    if (!refused) throw error;
    return { ...known, outcome: 'served', endpoint, predictionSkipped: error.message };
  }
}

function dryRunOf(options: DeployOptions): { dryRun?: boolean } {
  return options.dryRun ? { dryRun: true } : {};
}

const ABSENT = new Set(['model_not_found', 'version_not_found', 'endpoint_not_found']);

/** What is not there is null; every other failure is thrown. */
async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof SlipwayApiError && ABSENT.has(error.code)) return null;
    throw error;
  }
}

/** Two deploys of a new model at once: the second finds it made. */
async function orExisting(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof SlipwayApiError) || error.code !== 'already_exists') throw error;
  }
}

async function removeIfEmpty(client: Client, name: string): Promise<void> {
  try {
    const model = await client.models.show(name);
    if (model.latestVersion === null) await client.models.remove(name, { ifRevision: model.revision });
  } catch {
    // an empty model does no harm; the refusal is what matters
  }
}

async function validated(
  client: Client,
  version: Version,
  waitMs: number,
  call: CallOptions,
  tell: (event: DeployEvent) => void,
): Promise<Version> {
  let until = performance.now() + waitMs;
  let seen = version;
  while ((seen.status === 'pending' || seen.status === 'validating') && performance.now() < until) {
    // Making a Python environment tells what it does: shorter waits show it.
    const next = await client.versions.show(seen.model, seen.version, {
      ...call,
      waitMs: version.runtime === null ? 10_000 : 1000,
    });
    if (next.statusReason !== null && next.statusReason !== seen.statusReason && next.status === 'validating') {
      tell({ kind: 'progress', version: next, reason: next.statusReason });
      until = performance.now() + waitMs;
    }
    seen = next;
    if (seen.status === 'pending' || seen.status === 'validating') await pause(100, call.signal);
  }
  return seen;
}

async function setAlias(
  client: Client,
  input: DeployInput,
  alias: string,
  version: number,
  call: CallOptions,
): Promise<void> {
  await client.aliases.set(input.model, alias, version, {
    ...call,
    ...(input.reason === undefined ? {} : { reason: input.reason }),
    ...(input.allowBreaking ? { allowBreaking: true } : {}),
  });
}

/** Makes the endpoint name the version: by an alias when one is asked for or followed already, else by its number. */
async function point(
  client: Client,
  input: DeployInput,
  name: string,
  before: Endpoint | null,
  version: number,
  call: CallOptions,
): Promise<Endpoint> {
  const followed = before !== null && 'alias' in before.target ? before.target.alias : undefined;
  const alias = input.alias ?? followed;
  if (alias !== undefined) await setAlias(client, input, alias, version, call);
  const target: Target = alias === undefined ? { version } : { alias };
  const environment = input.environment === undefined ? {} : { environment: input.environment };
  if (before === null) return client.endpoints.create({ name, model: input.model, target, ...environment }, call);
  if (alias !== undefined && alias === followed && input.environment === undefined) {
    return client.endpoints.show(name, call);
  }
  const reason = input.reason === undefined ? {} : { reason: input.reason };
  const breaking = input.allowBreaking ? { allowBreaking: true } : {};
  return client.endpoints.update(name, { target, ...environment, ...reason, ...breaking }, call);
}

export type ServingOptions = CallOptions & {
  /** Default 5 minutes. */
  readonly waitMs?: number;
  /** Told each new reason why it does not serve yet. */
  readonly onWaiting?: (reason: string) => void;
};

/** Waits until an endpoint answers with a version, fails, or the time is up; gives the endpoint as last seen. */
export async function untilServing(
  client: Client,
  endpoint: Endpoint,
  version: number,
  options: ServingOptions = {},
): Promise<Endpoint> {
  const call: CallOptions = options.signal === undefined ? {} : { signal: options.signal };
  const until = performance.now() + (options.waitMs ?? DEFAULT_WAIT_MS);
  let seen = endpoint;
  let told = '';
  for (let tried = 0; ; tried++) {
    const { state, servingVersion, reason } = seen.status;
    if (state === 'ready' && servingVersion === version) return seen;
    if (state === 'failed' || state === 'unloaded' || performance.now() >= until) return seen;
    if (reason !== null && reason !== told) {
      told = reason;
      options.onWaiting?.(reason);
    }
    await pause(Math.min(1000, 50 * 1.3 ** tried), call.signal);
    seen = await client.endpoints.show(seen.name, call);
  }
}
