/**
 * The models of a multi-model container: its platform loads them from folders that it filled, lists them, unloads them to make room. Elsewhere a caller with a key may do the
 * same with versions of the registry.
 */
import { SlipwayError } from '../../base/errors.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { readJsonBody } from './json-body.ts';
import { untilLoaded } from './model-repository.ts';
import { type ActionCall, type HeldVersion, type Route, type ServerView, type WireHead, written } from './protocol.ts';

/** Models on one page of the list. */
const PAGE = 100;
const LONGEST_URL = 1024;
const REGISTERED = /^([a-z0-9][a-z0-9_-]*)@([a-z0-9][a-z0-9_.-]*)$/;

export const multiModelRoutes: readonly Route[] = [
  { kind: 'action', path: '/models', act: load },
  { kind: 'read', path: '/models', read: (server, _, head) => list(server, head) },
  { kind: 'read', path: '/models/{model}', read: (server, _, { params }) => show(find(server, params!['model']!)) },
  { kind: 'action', path: '/models/{model}', methods: ['DELETE'], act: unload },
];

const DONE = written({ contentType: 'application/json', body: '{}' });

async function load(call: ActionCall): Promise<unknown> {
  const body = readJsonBody(call);
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw invalid('', `must be an object with model_name and url, not ${kindOf(body)}`);
  const { model_name: name, url, ...others } = body as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalid(`/${other.slice(0, 100)}`, 'is not known; a load has model_name and url');
  if (typeof name !== 'string' || name === '') throw invalid('/model_name', 'must be a text');
  if (typeof url !== 'string' || url === '' || url.length > LONGEST_URL)
    throw invalid('/url', `must be a text of at most ${LONGEST_URL} characters`);
  const [, model, version] = REGISTERED.exec(url) ?? [];
  if (model === undefined || version === undefined) await call.changeEndpoint(name, { create: { folder: url } });
  else {
    const target = /^[1-9]\d{0,14}$/.test(version) ? Number(version) : version;
    await call.changeEndpoint(name, { create: { model, version: target } });
  }
  await untilLoaded(call, name);
  return DONE;
}

async function unload(call: ActionCall): Promise<unknown> {
  const { endpoint } = find(call.server, call.params!['model']!);
  await call.changeEndpoint(endpoint, { remove: true });
  return DONE;
}

function list(server: ServerView, { query = '' }: WireHead): unknown {
  const parameters = new URLSearchParams(query);
  const token = parameters.get('next_page_token') ?? '0';
  parameters.delete('next_page_token');
  const [other] = parameters.keys();
  if (other !== undefined) throw invalid('', `has a parameter ${other.slice(0, 100)}, which is not known`);
  if (!/^\d{1,9}$/.test(token)) throw invalid('', 'has a next_page_token that is not one of ours');
  const from = Number(token);
  const models = modelsOf(server);
  const to = from + PAGE;
  return {
    models: models.slice(from, to).map(show),
    ...(to < models.length ? { nextPageToken: `${to}` } : {}),
  };
}

/** One row an endpoint, whatever versions it holds. */
function modelsOf(server: ServerView): readonly HeldVersion[] {
  return [...new Map(server.held().map((held) => [held.endpoint, held])).values()];
}

function find(server: ServerView, name: string): HeldVersion {
  const held = modelsOf(server).find(({ endpoint }) => endpoint === name);
  if (held !== undefined) return held;
  throw new SlipwayError('endpoint_not_found', `Model ${name.slice(0, 100)} is not loaded`);
}

function show({ endpoint, model, version, folder }: HeldVersion): unknown {
  return { modelName: endpoint, modelUrl: folder ?? `${model ?? endpoint}@${version}` };
}

function invalid(pointer: string, message: string): SlipwayError {
  return new SlipwayError('invalid_request', `${pointer === '' ? 'The request' : pointer} ${message}`, {
    ...(pointer === '' ? {} : { fields: [{ pointer, message }] }),
  });
}
