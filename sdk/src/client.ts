import { SlipwayApiError } from './api-error.ts';
import { createConversionsClient } from './conversions.ts';
import {
  type Deployed,
  type DeployInput,
  type DeployOptions,
  deploy,
  type ServingOptions,
  untilServing,
} from './deploy.ts';
import { createListing, type Listing } from './listing.ts';
import { createLiveClient } from './live.ts';
import { createMonitoringClient, type DownloadedFile } from './monitoring.ts';
import { createRolloutsClient } from './rollouts.ts';
import { type CallOptions, createTransport, type Fetch, type Query, type TransportRequest } from './transport.ts';
import type {
  Alias,
  AliasChange,
  ApiKey,
  AuditRecord,
  AuditVerdict,
  ChangeEndpoint,
  Check,
  Collected,
  CreateEndpoint,
  CreateKey,
  CreateVersion,
  Endpoint,
  EndpointDescription,
  KeyLimitsChange,
  Model,
  NewApiKey,
  Page,
  PredictRequest,
  PredictResponse,
  Project,
  ServerStatus,
  SignatureDiff,
  Tags,
  Upload,
  Version,
  Why,
} from './types.ts';
import { type FileSource, type UploadedFile, type UploadOptions, uploadFile } from './upload.ts';

export type { ApiErrorDetails } from './api-error.ts';
export type * from './conversion-types.ts';
export type { DeployEvent, Deployed, DeployInput, DeployOptions, ServingOptions } from './deploy.ts';
export { parseJson, stringifyJson } from './json.ts';
export type { Listing } from './listing.ts';
export type * from './live-types.ts';
export type * from './monitoring-types.ts';
export type * from './rollout-types.ts';
export type { CallOptions } from './transport.ts';
export type * from './types.ts';
export type { FileSource, UploadedFile, UploadOptions, UploadProgress } from './upload.ts';
export { SlipwayApiError };

export type ClientOptions = {
  /** Where the management API listens, e.g. `http://127.0.0.1:8082`. */
  readonly url: string;
  readonly apiKey?: string;
  /** Default `default`. */
  readonly project?: string;
  /** Where predictions go; asked from the server when absent. */
  readonly inferenceUrl?: string;
  readonly fetch?: Fetch;
  readonly retries?: number;
  readonly timeoutMs?: number;
  readonly userAgent?: string;
};

/** For calls that change something: `dryRun` checks all and changes nothing. */
export type ChangeOptions = CallOptions & { readonly dryRun?: boolean };
/** For things with a `revision`: refuses with `revision_conflict` when it is not this one any more. */
export type GuardedOptions = ChangeOptions & { readonly ifRevision?: number };
export type ListOptions = CallOptions & { readonly limit?: number };
/** A version's number, an alias, or `latest`. */
export type VersionRef = number | string;

export type AuditFilter = ListOptions & {
  readonly project?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly resource?: string;
};

export type LogOptions = CallOptions & { readonly follow?: boolean; readonly lines?: number };

export type Me = { actor: string; project: string | null; scopes: string[]; keyId: string };

export type Client = ReturnType<typeof createClient>;

const segment = encodeURIComponent;

/**
 * A client of one Slipway server and project. The CLI is built on it. All throw SlipwayApiError; calls that may be
 * repeated without harm are, after a pause, when the connection breaks or the server is busy.
 */
export function createClient(options: ClientOptions) {
  const transport = createTransport(options);
  const root = `${options.url.replace(/\/+$/, '')}/api/v1`;
  const project = options.project ?? 'default';
  const base = project === 'default' ? root : `${root}/projects/${segment(project)}`;
  let inferenceUrl = options.inferenceUrl?.replace(/\/+$/, '');

  async function get<T>(url: string, query: Query, call: CallOptions = {}): Promise<T> {
    return (await transport.call<T>({ method: 'GET', url, query, ...limitsOf(call) })).body;
  }

  async function change<T>(
    method: string,
    url: string,
    json: unknown,
    call: GuardedOptions & { idempotencyKey?: string; query?: Query } = {},
  ): Promise<T> {
    const answer = await transport.call<T>({
      method,
      url,
      query: { ...call.query, dryRun: call.dryRun ? 1 : undefined },
      headers: {
        'if-match': call.ifRevision === undefined ? undefined : `"${call.ifRevision}"`,
        'idempotency-key': call.idempotencyKey,
      },
      ...(json === undefined ? {} : { json }),
      ...limitsOf(call),
    });
    return answer.body;
  }

  function list<T, P extends Page<T> = Page<T>>(url: string, call: ListOptions = {}, query: Query = {}): Listing<T, P> {
    return createListing<T, P>((cursor) => get<P>(url, { ...query, limit: call.limit, cursor }, call));
  }

  async function file(url: string, query: Query, call: CallOptions = {}): Promise<DownloadedFile | null> {
    const { status, headers, body } = await transport.stream({ method: 'GET', url, query, ...limitsOf(call) });
    const leftOut = Number(headers.get('x-rows-left-out') ?? 0);
    return status === 204 || body === null ? null : { body, rows: Number(headers.get('x-rows')), leftOut };
  }

  const modelUrl = (model: string): string => `${base}/models/${segment(model)}`;
  const versionUrl = (model: string, ref: VersionRef): string => `${modelUrl(model)}/versions/${segment(String(ref))}`;
  const aliasUrl = (model: string, alias: string): string => `${modelUrl(model)}/aliases/${segment(alias)}`;
  const endpointUrl = (name: string): string => `${base}/endpoints/${segment(name)}`;

  const models = {
    list: (call?: ListOptions) => list<Model>(`${base}/models`, call),
    show: (model: string, call?: CallOptions) => get<Model>(modelUrl(model), {}, call),
    create: (input: { name: string; description?: string; card?: string; tags?: Tags }, call?: ChangeOptions) =>
      change<Model>('POST', `${base}/models`, input, call),
    update: (
      model: string,
      input: { description?: string | null; card?: string | null; tags?: Tags },
      call?: GuardedOptions,
    ) => change<Model>('PATCH', modelUrl(model), input, call),
    remove: (model: string, call?: GuardedOptions) => change<void>('DELETE', modelUrl(model), undefined, call),
    /** Uploads and registers a version, and waits for its validation; makes no endpoint. */
    push: (input: Omit<DeployInput, 'endpoint' | 'environment'>, call?: DeployOptions) =>
      deploy(client, { ...input, endpoint: null }, call),
  };

  const versions = {
    list: (model: string, call?: ListOptions) => list<Version>(`${modelUrl(model)}/versions`, call),
    /** @param call `waitMs`: answers when validation ends, or after this time */
    show: (model: string, ref: VersionRef, call: CallOptions & { waitMs?: number } = {}) =>
      get<Version>(versionUrl(model, ref), { waitMs: call.waitMs }, call),
    /** Registers a version of files that were uploaded before. A key of the caller's choice makes repetitions safe. */
    create: (model: string, input: CreateVersion, call: ChangeOptions & { idempotencyKey?: string } = {}) =>
      change<Version>('POST', `${modelUrl(model)}/versions`, input, {
        ...call,
        idempotencyKey: call.idempotencyKey ?? crypto.randomUUID(),
      }),
    update: (model: string, ref: VersionRef, input: { tags?: Tags; card?: string | null }, call?: GuardedOptions) =>
      change<Version>('PATCH', versionUrl(model, ref), input, call),
    remove: (model: string, ref: VersionRef, call?: GuardedOptions) =>
      change<void>('DELETE', versionUrl(model, ref), undefined, call),
    diff: (model: string, ref: VersionRef, against: VersionRef, call?: CallOptions) =>
      get<SignatureDiff>(`${versionUrl(model, ref)}/diff`, { against }, call),
    manifest: (model: string, ref: VersionRef, call?: CallOptions) =>
      get<unknown>(`${versionUrl(model, ref)}/manifest`, {}, call),
  };

  const aliases = {
    list: (model: string, call?: ListOptions) => list<Alias>(`${modelUrl(model)}/aliases`, call),
    set: (
      model: string,
      alias: string,
      version: number,
      call: GuardedOptions & { reason?: string; allowBreaking?: boolean } = {},
    ) => {
      const extras = { reason: call.reason, allowBreaking: call.allowBreaking };
      return change<Alias>('PUT', aliasUrl(model, alias), { version, ...defined(extras) }, call);
    },
    remove: (model: string, alias: string, call: GuardedOptions & { reason?: string } = {}) =>
      change<void>('DELETE', aliasUrl(model, alias), undefined, { ...call, query: { reason: call.reason } }),
    history: (model: string, alias: string, call?: ListOptions) =>
      list<AliasChange>(`${aliasUrl(model, alias)}/history`, call),
  };

  const endpoints = {
    list: (call?: ListOptions) => list<Endpoint>(`${base}/endpoints`, call),
    show: (name: string, call?: CallOptions) => get<Endpoint>(endpointUrl(name), {}, call),
    create: (input: CreateEndpoint, call?: ChangeOptions) => change<Endpoint>('POST', `${base}/endpoints`, input, call),
    update: (name: string, input: ChangeEndpoint, call?: GuardedOptions) =>
      change<Endpoint>('PATCH', endpointUrl(name), input, call),
    remove: (name: string, call?: GuardedOptions) => change<void>('DELETE', endpointUrl(name), undefined, call),
    /** Waits until the endpoint answers with the version, fails, or the time is up; gives the endpoint as last seen. */
    untilServing: (endpoint: Endpoint, version: number, call?: ServingOptions) =>
      untilServing(client, endpoint, version, call),
  };

  const keys = {
    list: (call?: ListOptions) => list<ApiKey>(`${root}/keys`, call),
    create: (input: CreateKey, call?: ChangeOptions) => change<NewApiKey>('POST', `${root}/keys`, input, call),
    /** Other limits for a key that goes on. */
    update: (id: string, input: { limits: KeyLimitsChange }, call?: ChangeOptions) =>
      change<ApiKey>('PATCH', `${root}/keys/${segment(id)}`, input, call),
    /** A second live key with the same rights; the first stays valid until it is revoked. */
    rotate: (id: string, call?: ChangeOptions) =>
      change<NewApiKey>('POST', `${root}/keys/${segment(id)}/rotate`, {}, call),
    revoke: (id: string, call?: ChangeOptions) =>
      change<void>('DELETE', `${root}/keys/${segment(id)}`, undefined, call),
  };

  const projects = {
    list: (call?: ListOptions) => list<Project>(`${root}/projects`, call),
    create: (name: string, call?: ChangeOptions) => change<Project>('POST', `${root}/projects`, { name }, call),
    remove: (name: string, call?: ChangeOptions) =>
      change<void>('DELETE', `${root}/projects/${segment(name)}`, undefined, call),
  };

  const audit = {
    list: (filter: AuditFilter = {}) =>
      list<AuditRecord>(`${root}/audit`, filter, {
        project: filter.project,
        actor: filter.actor,
        action: filter.action,
        resource: filter.resource,
      }),
    /** Recomputes the chain of hashes over the whole log. */
    verify: (call?: CallOptions) => get<AuditVerdict>(`${root}/audit/verify`, {}, call),
  };

  async function endpointAddress(endpoint: string, call: CallOptions): Promise<string> {
    inferenceUrl ??= (await status(call)).inferenceUrl?.replace(/\/+$/, '');
    if (inferenceUrl === undefined) {
      throw new SlipwayApiError('No gateway is connected to this server', {
        status: 0,
        code: 'not_ready',
        hint: 'See `slipway status`; a gateway connects a moment after the server starts.',
      });
    }
    const [name, version] = endpoint.split('@');
    const pinned = version === undefined ? segment(name!) : `${segment(name!)}@${segment(version)}`;
    return `${inferenceUrl}${project === 'default' ? '' : `/p/${segment(project)}`}/endpoints/${pinned}`;
  }

  /**
   * One prediction call in the plain form. 64-bit integers beyond 2^53 may be given as BigInt and come back as such.
   * @param endpoint its name, or `name@version` for a version the endpoint keeps loaded
   */
  function predict(endpoint: string, request: PredictRequest, call: CallOptions = {}): Promise<PredictResponse> {
    return askFor(endpoint, { json: request }, call);
  }

  /**
   * One prediction call whose body is a file: CSV, NDJSON, an Arrow stream, a picture or raw elements.
   * @param file.type its Content-Type, e.g. `image/jpeg` or `application/vnd.apache.arrow.stream`
   */
  function predictFile(
    endpoint: string,
    file: { readonly type: string; readonly body: Blob | Uint8Array<ArrayBuffer> | string },
    call: CallOptions = {},
  ): Promise<PredictResponse> {
    return askFor(endpoint, { body: file.body, headers: { 'content-type': file.type } }, call);
  }

  async function askFor(
    endpoint: string,
    content: Partial<Pick<TransportRequest, 'json' | 'body' | 'headers'>>,
    call: CallOptions,
  ): Promise<PredictResponse> {
    const url = `${await endpointAddress(endpoint, call)}/predict`;
    const deadline = call.timeoutMs === undefined ? {} : { 'x-request-timeout-ms': String(call.timeoutMs) };
    const headers = { ...content.headers, ...deadline };
    const answer = await transport.call<PredictResponse>({
      method: 'POST',
      url,
      ...content,
      headers,
      ...limitsOf(call),
    });
    return answer.body;
  }

  /** What an endpoint takes and gives, with a working example, as its gateway says: needs no right to read the registry. */
  async function describe(endpoint: string, call: CallOptions = {}): Promise<EndpointDescription> {
    return get<EndpointDescription>(await endpointAddress(endpoint, call), {}, call);
  }

  const status = (call?: CallOptions): Promise<ServerStatus> => get<ServerStatus>(`${root}/status`, {}, call);

  const client = {
    url: options.url.replace(/\/+$/, ''),
    project,
    models,
    versions,
    aliases,
    endpoints,
    keys,
    projects,
    audit,
    ...createMonitoringClient({ base, get, change, list, file }),
    ...createRolloutsClient({ base, get, change, list, file }),
    ...createConversionsClient({ base, get, change, list, file }),
    ...createLiveClient({ base, root, get, change, list, file, transport }),
    predict,
    predictFile,
    describe,
    status,
    /** Why an endpoint is ready or not: the observed reason in one sentence, with the fix. */
    why: (endpoint: string, call?: CallOptions) => get<Why>(`${endpointUrl(endpoint)}/why`, {}, call),
    me: (call?: CallOptions) => get<Me>(`${root}/me`, {}, call),
    /** The server's checks of itself. */
    doctor: async (call?: CallOptions): Promise<Check[]> => {
      const answer = await get<Check[] | { checks?: Check[]; items?: Check[] }>(`${root}/doctor`, {}, call);
      return Array.isArray(answer) ? answer : (answer.checks ?? answer.items ?? []);
    },
    /** Log lines of all processes, each one JSON object as text; with `follow` it goes on until the signal says stop. */
    logs: (call: LogOptions = {}): AsyncGenerator<string> =>
      transport.lines({
        method: 'GET',
        url: `${root}/logs`,
        query: { follow: call.follow ? 1 : undefined, lines: call.lines },
        headers: { accept: 'application/x-ndjson' },
        ...limitsOf(call),
      }),
    /** Removes stored bytes that nothing refers to; with `dryRun` it says what would go. */
    collectArtifacts: (call?: ChangeOptions) => change<Collected>('POST', `${root}/artifacts/collect`, {}, call),
    uploads: {
      show: (id: string, call?: CallOptions) => get<Upload>(`${base}/uploads/${segment(id)}`, {}, call),
      cancel: (id: string, call?: CallOptions) =>
        change<void>('DELETE', `${base}/uploads/${segment(id)}`, undefined, call),
    },
    /** Sends one file and gives its digest, by which versions refer to it. Resumes after a broken connection. */
    upload: (file: FileSource, call?: UploadOptions): Promise<UploadedFile> =>
      uploadFile(transport, `${base}/uploads`, file, call),
    /** From files to a served, tried endpoint. */
    deploy: (input: DeployInput, call?: DeployOptions): Promise<Deployed> => deploy(client, input, call),
  };
  return client;
}

function limitsOf(call: CallOptions): CallOptions {
  return {
    ...(call.signal === undefined ? {} : { signal: call.signal }),
    ...(call.timeoutMs === undefined ? {} : { timeoutMs: call.timeoutMs }),
  };
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
