import { join } from 'node:path';

const DIGEST = /^sha256:([0-9a-f]{64})$/;

/**
 * Where a blob lies in its project's folder: `<folder>/sha256/<2 hex>/<64 hex>`. Made of the digest's digits only.
 * @throws TypeError when it is not a digest
 */
export function blobPath(folder: string, digest: string): string {
  const hex = DIGEST.exec(digest)?.[1];
  if (hex === undefined) throw new TypeError('not a digest');
  return join(folder, 'sha256', hex.slice(0, 2), hex);
}
