import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Client } from '../../sdk/src/client.ts';
import { ADMIN_KEY_FILE, SERVER_FILE } from '../base/data-folder.ts';
import { RELEASE } from '../base/release.ts';
import { CliError, START_ADVICE } from './cli-error.ts';
import { CLIENT_SETTINGS, DATA_DEFAULT, DATA_ENV, type ServerFile } from './client-settings.ts';
import { checkName } from './name-check.ts';

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
  const dataDir = resolve(options.data ?? (env[DATA_ENV] || findDataFolder() || DATA_DEFAULT));
  const [url, urlFrom] = resolveUrl(options, env, dataDir);
  const [inferenceUrl, inferenceUrlFrom] = resolveInferenceUrl(options, env, dataDir, urlFrom);
  const [apiKey, apiKeyFrom] = resolveKey(options, env, dataDir, urlFrom);
  const fromEnv = env[CLIENT_SETTINGS.project.env];
  const project = options.project ?? (fromEnv || 'default');
  const projectFrom = options.project !== undefined ? 'flag' : fromEnv ? 'env' : 'default';
  return { url, urlFrom, inferenceUrl, inferenceUrlFrom, apiKey, apiKeyFrom, project, projectFrom, dataDir };
}

/** The data folder of this folder, else of the nearest one above that is ours: another user's would name a server of theirs. */
export function findDataFolder(from = process.cwd()): string | null {
  for (let folder = from, own = true; ; own = false) {
    const candidate = resolve(folder, DATA_DEFAULT);
    const found = statSync(candidate, { throwIfNoEntry: false });
    if (found?.isDirectory() && (own || found.uid === process.getuid?.())) return candidate;
    const above = dirname(folder);
    if (above === folder) return null;
    folder = above;
  }
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

const shownFolder = (dataDir: string): string =>
  dataDir === resolve(DATA_DEFAULT) ? '.slipway here or in a folder above' : dataDir;

/**
 * The client for a connection; without a key it fails with what to do about it.
 * @param keyOptional for calls that may need none, where it is known where they go
 */
export async function connect(connection: Connection, keyOptional = false): Promise<Client> {
  if (connection.apiKey === null && !(keyOptional && connection.inferenceUrl !== null)) {
    // With neither address nor key nor folder the key is not what is missing.
    if (connection.urlFrom === 'default' && !existsSync(connection.dataDir)) {
      throw new CliError(
        'unavailable',
        `No server was found: there is no data folder ${shownFolder(connection.dataDir)}`,
        {
          code: 'no_server',
          hint: `${START_ADVICE} ${DATA_ENV}, SLIPWAY_URL and SLIPWAY_API_KEY do the same for every command.`,
        },
      );
    }
    throw new CliError('auth', `No API key for ${connection.url}`, {
      code: 'key_missing',
      hint: 'Set SLIPWAY_API_KEY, or name a file with --key-file.',
    });
  }
  const { createClient } = await import('../../sdk/src/client.ts');
  return createClient({
    url: connection.url,
    ...(connection.apiKey === null ? {} : { apiKey: connection.apiKey }),
    ...(connection.inferenceUrl === null ? {} : { inferenceUrl: connection.inferenceUrl }),
    project: checkName('--project', connection.project),
    userAgent: `slipway-cli/${RELEASE}`,
  });
}
