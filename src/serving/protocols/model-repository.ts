/**
 * The model repository extension over what Slipway has: a model is an endpoint, loaded or not. Loading and unloading change the desired
 * state, so they are control's to permit and to do; what is observed of it is in the index.
 */
import { setTimeout } from 'node:timers/promises';
import { SlipwayError } from '../../base/errors.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { readJsonBody } from './json-body.ts';
import type { ActionCall, HeldVersion, Route } from './protocol.ts';

/** How long a load is waited for; loading goes on after it. */
const LOAD_WAIT_MS = 60_000;
const LOAD_LOOK_MS = 20;

const NO_REPOSITORIES = 'There is one repository here, without a name: leave the name out of the path';

export const repositoryRoutes: readonly Route[] = [
  { kind: 'action', path: '/v2/repository/index', act: readIndex },
  { kind: 'action', path: '/v2/repository/models/{endpoint}/load', act: (call) => setLoaded(call, true) },
  { kind: 'action', path: '/v2/repository/models/{endpoint}/unload', act: (call) => setLoaded(call, false) },
  { kind: 'absent', path: '/v2/repository/{repository}/index', reason: NO_REPOSITORIES },
  { kind: 'absent', path: '/v2/repository/{repository}/models/{endpoint}/load', reason: NO_REPOSITORIES },
  { kind: 'absent', path: '/v2/repository/{repository}/models/{endpoint}/unload', reason: NO_REPOSITORIES },
];

export function readIndex(call: ActionCall): unknown {
  const { ready, ...others } = readOptions(call);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw fault(unknown, 'is not known; an index takes "ready"');
  if (ready !== undefined && typeof ready !== 'boolean') throw fault('ready', `must be true or false`);
  const held = call.server.held();
  return (ready ? held.filter((one) => one.state === 'ready') : held).map(writeHeld);
}

function writeHeld({ endpoint, version, state, reason }: HeldVersion): unknown {
  return {
    name: endpoint,
    ...(version === null ? {} : { version: `${version}` }),
    state: state.toUpperCase(),
    reason: reason ?? '',
  };
}

async function setLoaded(call: ActionCall, loaded: boolean): Promise<unknown> {
  const { parameters = {}, ...others } = readOptions(call);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw fault(unknown, 'is not known; only "parameters" is');
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw fault('parameters', `must be an object, not ${kindOf(parameters)}`);
  }
  for (const [key, value] of Object.entries(parameters)) {
    // No model depends on another here, so there is nothing else to unload.
    if (!loaded && key === 'unload_dependents' && typeof value === 'boolean') continue;
    throw notByCall(key);
  }
  const { endpoint } = call;
  if (endpoint === null) {
    throw new SlipwayError('endpoint_not_found', 'There is no such endpoint', { hint: 'Name it without a version.' });
  }
  if (endpoint.pin !== null) {
    throw new SlipwayError('unsupported_option', 'Versions are not loaded one by one', {
      hint: `\`slipway endpoints update ${endpoint.name} --pin ${endpoint.pin}\` keeps a further version loaded.`,
    });
  }
  await call.changeEndpoint(endpoint.name, { loaded });
  if (loaded) await untilLoaded(call, endpoint.name);
  return { name: endpoint.name, [loaded ? 'load' : 'unload']: true };
}

/** Callers of `load` go on to infer, so they are answered when that works, or never will. */
export async function untilLoaded({ server }: Pick<ActionCall, 'server'>, name: string): Promise<void> {
  const untilMs = performance.now() + LOAD_WAIT_MS;
  for (;;) {
    const versions = server.held().filter((one) => one.endpoint === name);
    const loading = versions.find((one) => one.state === 'loading');
    const ready = versions.some((one) => one.state === 'ready');
    if (loading === undefined && (ready || versions.length === 0)) return;
    const late = performance.now() >= untilMs;
    if (loading === undefined || late) {
      const { reason } = loading ?? versions[0]!;
      throw new SlipwayError('not_ready', `${name} is asked for, and not ready yet: ${reason ?? 'it loads.'}`, {
        hint: `\`slipway why ${name}\` says what to do.`,
      });
    }
    await setTimeout(LOAD_LOOK_MS);
  }
}

function notByCall(key: string): SlipwayError {
  const shown = key.replace(/[^\x20-\x7e]/g, '?').slice(0, 80);
  if (key === 'config' || key.startsWith('file:')) {
    return new SlipwayError('unsupported_option', `A model cannot be changed while it is loaded (parameter ${shown})`, {
      hint: 'Files and signature make a version, which never changes: `slipway deploy <file> --name <endpoint>` makes the next one and serves it.',
      fields: [{ pointer: `/parameters/${shown}`, message: 'is not offered' }],
    });
  }
  return fault(`parameters/${shown}`, 'is not known');
}

/** The body is optional, and often empty. */
function readOptions(call: ActionCall): Record<string, unknown> {
  if (call.body.byteLength === 0) return {};
  const value = readJsonBody(call);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SlipwayError('invalid_request', `The body must be an object, not ${kindOf(value)}`);
  }
  return value as Record<string, unknown>;
}

function fault(key: string, message: string): SlipwayError {
  const shown = key.replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
  return new SlipwayError('invalid_request', `/${shown} ${message}`, {
    fields: [{ pointer: `/${shown}`, message }],
  });
}
