/** Paths inside an artifact: names for people and engines. They never become paths on the server's disk as they are. */

const MAX_PATH_BYTES = 512;
const MAX_NAME_BYTES = 255;

/** Why a text is not a path inside an artifact; null when it is one. */
export function assessPath(path: string): string | null {
  if (path === '') return 'it is empty';
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'it has control characters';
  if (path.includes('\\')) return 'it has a backslash; folders are separated by /';
  if (path.startsWith('/') || /^[a-zA-Z]:/.test(path)) return 'it is absolute';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `it is longer than ${MAX_PATH_BYTES} bytes`;
  if (path !== path.normalize('NFC') || !path.isWellFormed()) return 'it is not Unicode in its composed form (NFC)';
  for (const name of path.split('/')) {
    if (name === '..') return 'it leaves the artifact with ..';
    if (name === '' || name === '.') return 'it has an empty or . part';
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `a part of it is longer than ${MAX_NAME_BYTES} bytes`;
  }
  return null;
}
