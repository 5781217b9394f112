import { SlipwayApiError } from './api-error.ts';
import { type CallOptions, pause, type Transport } from './transport.ts';
import type { Upload } from './types.ts';

/** One file to send. `blob` may be backed by a file on disk (`fileSource` of `node.ts`), so its size does not matter to memory. */
export type FileSource = {
  /** Path inside the artifact, with `/` between folders. */
  readonly path: string;
  readonly blob: Blob;
  /** `sha256:` and 64 hex digits; computed when absent. */
  readonly digest?: string;
};

export type UploadedFile = { readonly path: string; readonly digest: string; readonly sizeBytes: number };

export type UploadProgress = { readonly path: string; readonly sentBytes: number; readonly sizeBytes: number };

export type UploadOptions = CallOptions & { readonly onProgress?: (progress: UploadProgress) => void };

/** Bytes per request: what a broken connection can cost at most, and how often progress is told. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** Attempts in a row that get no byte further before giving up. */
const FRUITLESS_ATTEMPTS = 6;

/** `sha256:…` of a blob by WebCrypto, which needs all bytes at once: meant for browsers; `node.ts` hashes files as a stream. */
export async function digestOfBlob(blob: Blob): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
  return `sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/**
 * Sends one file: announces digest and size, then sends what the server does not have yet. After a broken connection it asks how
 * far the server got and goes on there. A file whose bytes the server has already costs one request.
 */
export async function uploadFile(
  transport: Transport,
  uploadsUrl: string,
  file: FileSource,
  options: UploadOptions = {},
): Promise<UploadedFile> {
  const digest = file.digest ?? (await digestOfBlob(file.blob));
  const sizeBytes = file.blob.size;
  const call = { signal: options.signal, timeoutMs: options.timeoutMs } as CallOptions;
  const announced = await transport.call<Upload>({
    ...call,
    method: 'POST',
    url: uploadsUrl,
    json: { digest, sizeBytes },
    // Announcing the same bytes twice leaves an unused upload behind at worst, which expires.
    idempotent: true,
  });
  let upload = announced.body;
  const url = `${uploadsUrl}/${encodeURIComponent(upload.id)}`;
  const tell = (): void => options.onProgress?.({ path: file.path, sentBytes: upload.offsetBytes, sizeBytes });
  tell();
  let fruitless = 0;
  while (upload.state !== 'complete') {
    const from = upload.offsetBytes;
    try {
      const answer = await transport.call<Upload>({
        ...call,
        method: 'PATCH',
        url,
        headers: { 'upload-offset': String(from), 'content-type': 'application/octet-stream' },
        body: file.blob.slice(from, Math.min(sizeBytes, from + CHUNK_BYTES)),
        idempotent: false,
      });
      upload = answer.body;
    } catch (error) {
      if (!(error instanceof SlipwayApiError) || !mayResume(error)) throw error;
      if (++fruitless > FRUITLESS_ATTEMPTS) throw error;
      await pause(error.code === 'offset_conflict' ? 0 : Math.random() * 250 * 2 ** fruitless, options.signal);
      upload = (await transport.call<Upload>({ ...call, method: 'GET', url })).body;
    }
    if (upload.offsetBytes > from) fruitless = 0;
    tell();
  }
  return { path: file.path, digest, sizeBytes };
}

function mayResume(error: SlipwayApiError): boolean {
  if (error.code === 'disk_full') return false;
  return (
    ['unreachable', 'timeout', 'offset_conflict'].includes(error.code) || error.status === 503 || error.status === 429
  );
}
