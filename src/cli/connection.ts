import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Client } from '../../sdk/src/client.ts';
import { RELEASE } from '../base/release.ts';
import { CliError } from './cli-error.ts';
import {
  ADMIN_KEY_FILE,
  CLIENT_SETTINGS,
  DATA_DEFAULT,
  DATA_ENV,
  SERVER_FILE,
  type ServerFile,
} from './client-settings.ts';

export type ConnectionOptions = {
  readonly url?: string | undefined;
  readonly inferenceUrl?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly project?: string | undefined;
  readonly data?: string | undefined;
};

export type Origin = 'flag' | 'env' | 'data folder' | 'default';

export type Connection = {
  readonly url: string;
  readonly urlFrom: Origin;
  /** null: the server is asked. */
  readonly inferenceUrl: string | null;
  readonly inferenceUrlFrom: Origin;
  readonly apiKey: string | null;
  readonly apiKeyFrom: Origin;
  readonly project: string;
  readonly projectFrom: Origin;
  readonly dataDir: string;
};

type Env = Readonly<Record<string, string | undefined>>;

const DEFAULT_URL = 'http://127.0.0.1:8082';

/** Which server, with which key, for which project. */
export function resolveConnection(options: ConnectionOptions, env: Env): Connection {
  const dataDir = resolve(options.data ?? (env[DATA_ENV] || DATA_DEFAULT));
  const [url, urlFrom] = resolveUrl(options, env, dataDir);
  const [inferenceUrl, inferenceUrlFrom] = resolveInferenceUrl(options, env, dataDir, urlFrom);
  const [apiKey, apiKeyFrom] = resolveKey(options, env, dataDir, urlFrom);
  const fromEnv = env[CLIENT_SETTINGS.project.env];
  const project = options.project ?? (fromEnv || 'default');
  const projectFrom = options.project !== undefined ? 'flag' : fromEnv ? 'env' : 'default';
  return { url, urlFrom, inferenceUrl, inferenceUrlFrom, apiKey, apiKeyFrom, project, projectFrom, dataDir };
}

function resolveUrl(options: ConnectionOptions, env: Env, dataDir: string): [string, Origin] {
  const fromEnv = env[CLIENT_SETTINGS.url.env];
  if (options.url !== undefined) return [checkedUrl(options.url, '--url'), 'flag'];
  if (fromEnv) return [checkedUrl(fromEnv, CLIENT_SETTINGS.url.env), 'env'];
  const beside = readServerFile(dataDir);
  return beside === null ? [DEFAULT_URL, 'default'] : [beside.url, 'data folder'];
}

function resolveInferenceUrl(
  options: ConnectionOptions,
  env: Env,
  dataDir: string,
  urlFrom: Origin,
): [string | null, Origin] {
  const { env: name, flag } = CLIENT_SETTINGS.inferenceUrl;
  if (options.inferenceUrl !== undefined) return [checkedUrl(options.inferenceUrl, flag), 'flag'];
  if (env[name]) return [checkedUrl(env[name], name), 'env'];
  const beside = urlFrom === 'data folder' ? readServerFile(dataDir)?.inferenceUrl : undefined;
  return beside ? [beside, 'data folder'] : [null, 'default'];
}

function checkedUrl(text: string, where: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new CliError('usage', `${where} is not an address: ${text}`, { hint: 'Give it like http://127.0.0.1:8082.' });
  }
  if (url.username || url.password) {
    throw new CliError('usage', `${where} must not carry a password`, { hint: 'Use SLIPWAY_API_KEY or --key-file.' });
  }
  return text.replace(/\/+$/, '');
}

function resolveKey(options: ConnectionOptions, env: Env, dataDir: string, urlFrom: Origin): [string | null, Origin] {
  const file = options.keyFile ?? env[CLIENT_SETTINGS.keyFile.env];
  if (file) {
    const key = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
    if (key === '') throw new CliError('auth', `The key file ${file} is empty`, { code: 'key_missing' });
    return [key, options.keyFile === undefined ? 'env' : 'flag'];
  }
  const fromEnv = env[CLIENT_SETTINGS.apiKey.env];
  if (fromEnv) return [fromEnv.trim(), 'env'];
  // The key of the server beside us goes to no other server.
  if (urlFrom === 'flag' || urlFrom === 'env') return [null, 'default'];
  try {
    return [readFileSync(join(dataDir, ADMIN_KEY_FILE), 'utf8').trim(), 'data folder'];
  } catch {
    return [null, 'default'];
  }
}

export function readServerFile(dataDir: string): ServerFile | null {
  try {
    const read = JSON.parse(readFileSync(join(dataDir, SERVER_FILE), 'utf8')) as ServerFile;
    return typeof read.url === 'string' ? read : null;
  } catch {
    return null;
  }
}

/**
 * The client for a connection; without a key it fails with what to do about it.
 * @param keyOptional for calls that may need none, where it is known where they go
 */
export async function connect(connection: Connection, keyOptional = false): Promise<Client> {
  if (connection.apiKey === null && !(keyOptional && connection.inferenceUrl !== null)) {
    throw new CliError('auth', `No API key for ${connection.url}`, {
      code: 'key_missing',
      hint:
        connection.urlFrom === 'default'
          ? `Is a server running here? Start one with \`slipway serve\`, name its data folder with --data or ${DATA_ENV}, or set SLIPWAY_URL and SLIPWAY_API_KEY.`
          : 'Set SLIPWAY_API_KEY, or name a file with --key-file.',
    });
  }
  const { createClient } = await import('../../sdk/src/client.ts');
  return createClient({
    url: connection.url,
    ...(connection.apiKey === null ? {} : { apiKey: connection.apiKey }),
    ...(connection.inferenceUrl === null ? {} : { inferenceUrl: connection.inferenceUrl }),
    project: connection.project,
    userAgent: `slipway-cli/${RELEASE}`,
  });
}
