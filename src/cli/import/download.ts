/** Files from elsewhere, onto this machine: asked by whoever types the command, never by the server. No redirects, bounded in bytes and time. */
import { createWriteStream, realpathSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openOutside } from '../../base/http/outbound.ts';
import { CliError } from '../cli-error.ts';

const MAX_BYTES = 20 * 1024 ** 3;
const MAX_JSON_BYTES = 8 * 1024 * 1024;
const TIMEOUT_MS = 30 * 60_000;
const MOST_FILES = 10_000;

type Ask = {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether somebody else than whoever typed the command names the address. */
  readonly onlyPublic?: boolean;
};

const TRUST = 'repeat the command with --trust-manifest';

/** Downloads one file into a folder. @returns where it lies */
export async function downloadFile(address: string, folder: string, name: string | null, ask: Ask): Promise<string> {
  const url = addressOf(address);
  const target = resolve(folder, name ?? (basename(decodeURIComponent(url.pathname)) || 'model'));
  if (!target.startsWith(resolve(folder) + sep)) throw failed(address, 'it names a file outside of its folder');
  const body =
    ask.onlyPublic === true ? await openPublic(url, ask.signal) : Readable.fromWeb((await get(url, ask)).body as never);
  await mkdir(dirname(target), { recursive: true });
  let bytes = 0;
  const bounded = async function* (parts: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const part of parts) {
      bytes += part.length;
      if (bytes > MAX_BYTES) throw failed(address, 'it has more than 20 GiB');
      yield part;
    }
  };
  await pipeline(body, bounded, createWriteStream(target));
  return target;
}

/**
 * A model of an MLflow tracking server, `mlflow://host:5000/models/churn@champion` or `…/models/churn/3`; `mlflow+https://` with TLS.
 * The calls: mlflow.org/docs/latest/rest-api.html; its artifacts by the server's own proxy.
 */
export async function downloadMlflow(
  address: string,
  folder: string,
  signal: AbortSignal,
): Promise<{ name: string; version: string }> {
  const match = /^mlflow(\+https)?:\/\/([^/]+)\/models\/([^/@]+)(?:@([^/]+)|\/(\d+))$/.exec(address);
  if (match === null) {
    throw new CliError('usage', `${address} names no model of MLflow`, {
      hint: 'Write mlflow://host:5000/models/<name>@<alias>, or …/models/<name>/<version>.',
    });
  }
  const [, tls, host, encoded, alias, number] = match as unknown as [
    string,
    string?,
    string?,
    string?,
    string?,
    string?,
  ];
  const base = `${tls === undefined ? 'http' : 'https'}://${host}`;
  const token = process.env['MLFLOW_TRACKING_TOKEN'];
  const ask: Ask = { signal, ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }) };
  const name = decodeURIComponent(encoded!);
  const query = (path: string, values: Record<string, string>): Promise<Record<string, unknown>> =>
    json(`${base}/api/2.0/${path}?${new URLSearchParams(values)}`, ask);
  const version =
    number ??
    String(
      (
        (await query('mlflow/registered-models/alias', { name, alias: alias! }))['model_version'] as
          | { version?: unknown }
          | undefined
      )?.version ?? '',
    );
  const uri = String((await query('mlflow/model-versions/get-download-uri', { name, version }))['artifact_uri'] ?? '');
  const root = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.+)$/.exec(uri)?.[1];
  if (root === undefined) {
    throw new CliError(
      'validation',
      `The files of ${name} ${version} are at ${uri}, which the MLflow server does not hand out`,
      {
        code: 'model_unsupported',
        hint: 'Start it with --serve-artifacts, or fetch them with `mlflow artifacts download` and import the folder.',
      },
    );
  }
  let count = 0;
  const walk = async (path: string): Promise<void> => {
    const { files } = await query('mlflow-artifacts/artifacts', { path });
    for (const file of Array.isArray(files) ? (files as { path?: unknown; is_dir?: unknown }[]) : []) {
      // Paths are relative to the folder that was asked for.
      const full = `${path}/${String(file.path)}`;
      if (++count > MOST_FILES) throw failed(address, `it has more than ${MOST_FILES} files`);
      if (file.is_dir === true) await walk(full);
      else
        await downloadFile(
          `${base}/api/2.0/mlflow-artifacts/artifacts/${full.split('/').map(encodeURIComponent).join('/')}`,
          folder,
          full.slice(root.length + 1),
          ask,
        );
    }
  };
  await walk(root);
  if (count === 0) throw failed(address, 'it has no files');
  return { name, version };
}

/**
 * A file or folder of a model by where its manifest says it is: a path, http or https.
 * @param manifest the file that says so, where it may be a stranger's: then only its own folder and public addresses over TLS; null: whoever typed the command says so
 */
export async function fetchStorage(
  storage: string,
  folder: string,
  signal: AbortSignal,
  manifest: string | null = null,
): Promise<string> {
  if (!storage.includes('://')) {
    if (manifest !== null) assertBeside(storage, manifest);
    return storage;
  }
  if (/^https?:\/\//.test(storage)) {
    return downloadFile(storage, folder, null, { signal, ...(manifest === null ? {} : { onlyPublic: true }) });
  }
  const scheme = storage.slice(0, storage.indexOf('://'));
  const hints: Readonly<Record<string, string>> = {
    s3: `Fetch it with \`aws s3 cp --recursive ${storage} ./model\`, and import ./model.`,
    gs: `Fetch it with \`gcloud storage cp -r ${storage} ./model\`, and import ./model.`,
    hf: 'Fetch it with `hf download`, and import the folder.',
    pvc: 'Import it where the volume is mounted, by its path.',
  };
  throw new CliError(
    'validation',
    `${storage} is not fetched from here: ${scheme}:// needs keys that this program does not hold`,
    {
      code: 'model_unsupported',
      hint: hints[scheme] ?? 'Fetch it, and import the folder.',
    },
  );
}

/** What it names is uploaded: a manifest of a stranger could name any file of this machine. Links are followed first. */
function assertBeside(storage: string, manifest: string): void {
  const real = (path: string): string => {
    try {
      return realpathSync(path);
    } catch {
      return resolve(path);
    }
  };
  const home = real(dirname(resolve(manifest)));
  if (real(storage).startsWith(home + sep)) return;
  throw new CliError('validation', `${manifest} names ${storage}, which is not in its own folder`, {
    code: 'model_refused',
    hint: `What it names is sent to the server. If that is what you want, ${TRUST}.`,
  });
}

async function json(address: string, ask: Ask): Promise<Record<string, unknown>> {
  const answer = await get(addressOf(address), ask);
  const text = await answer.text();
  if (text.length > MAX_JSON_BYTES) throw failed(address, 'the answer is too large');
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw failed(address, 'the answer is no JSON');
  }
}

async function get(url: URL, { signal, headers = {} }: Ask): Promise<Response> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  let answer: Response;
  try {
    answer = await fetch(url, { headers, redirect: 'manual', signal: limit });
  } catch (error) {
    const cause = (error as { cause?: { code?: string } }).cause?.code;
    throw failed(url.href, `it cannot be reached${cause === undefined ? '' : ` (${cause})`}`);
  }
  if (answer.status >= 300 && answer.status < 400)
    throw failed(
      url.href,
      `it answers with a redirect to ${answer.headers.get('location') ?? 'nowhere'}, which is not followed; name that address`,
    );
  if (!answer.ok)
    throw failed(url.href, `it answers ${answer.status}: ${(await answer.text().catch(() => '')).slice(0, 200)}`);
  return answer;
}

/** By the way that the server asks addresses of strangers: no private ones, the name resolved once, TLS only. */
async function openPublic(url: URL, signal: AbortSignal): Promise<Readable> {
  const asked = { url: url.href, timeoutMs: TIMEOUT_MS, allowedHosts: [], trustedWhere: `you ${TRUST}`, signal };
  const answer = await openOutside(asked).catch((error: Error) => {
    throw failed(url.href, error.message);
  });
  const { statusCode, headers } = answer;
  if (statusCode === 200) return answer;
  answer.destroy();
  throw failed(
    url.href,
    headers.location === undefined
      ? `it answers ${statusCode}`
      : `it answers with a redirect to ${headers.location}, which is not followed; name that address`,
  );
}

function addressOf(address: string): URL {
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol)) throw failed(address, 'it is no address of http or https');
  if (url.username !== '' || url.password !== '') throw failed(address, 'an address must not carry a password');
  return url;
}

function failed(address: string, why: string): CliError {
  return new CliError('validation', `${address}: ${why}`, { code: 'model_invalid' });
}
