/** The members of a zip archive, by its central directory: names, sizes and bytes. Nothing is written anywhere. */
import { inflateRawSync } from 'node:zlib';
import { SlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../validation.ts';
import { assessPath } from './artifact-path.ts';
import { openSource } from './stored-source.ts';

export type ZipMember = {
  readonly path: string;
  readonly sizeBytes: number;
  /** @throws SlipwayError `model_invalid` when it is larger, or damaged */
  readonly read: (maxBytes: number) => Buffer;
};

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const MOST_COMMENT = 65_535;
const MOST_MEMBERS = 10_000;
const MOST_DIRECTORY = 16 * 1024 * 1024;
const LINK = 0o120000;

/**
 * @throws SlipwayError `model_invalid` for what is no zip, `model_refused` for members that leave the folder, are links, or come twice
 */
export function readZip(file: StoredFile): ReadonlyMap<string, ZipMember> {
  const readAt = (position: number, length: number): Buffer => {
    const source = openSource(file);
    try {
      const bytes = Buffer.alloc(length);
      if (length > 0 && source.readAt(bytes, position) !== length) throw damaged(file, 'it ends too early');
      return bytes;
    } finally {
      source.close();
    }
  };
  const tailLength = Math.min(file.sizeBytes, END_BYTES + MOST_COMMENT);
  const tail = readAt(file.sizeBytes - tailLength, tailLength);
  let at = tail.length - END_BYTES;
  while (at >= 0 && tail.readUInt32LE(at) !== END) at--;
  if (at < 0) throw damaged(file, 'it has no directory');
  const [count, size, start] = [tail.readUInt16LE(at + 10), tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)];
  if (count > MOST_MEMBERS || size > MOST_DIRECTORY || start + size > file.sizeBytes) {
    throw damaged(file, 'its directory is too large, or larger than the file');
  }
  const directory = readAt(start, size);
  const members = new Map<string, ZipMember>();
  for (let i = 0, from = 0; i < count; i++) {
    if (from + 46 > directory.length || directory.readUInt32LE(from) !== CENTRAL)
      throw damaged(file, 'its directory ends too early');
    const method = directory.readUInt16LE(from + 10);
    const packed = directory.readUInt32LE(from + 20);
    const sizeBytes = directory.readUInt32LE(from + 24);
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => directory.readUInt16LE(from + offset)) as [
      number,
      number,
      number,
    ];
    const mode = directory.readUInt32LE(from + 38) >>> 16;
    const offset = directory.readUInt32LE(from + 42);
    const path = directory.toString('utf8', from + 46, from + 46 + nameLength);
    from += 46 + nameLength + extra + comment;
    if (path.endsWith('/')) continue;
    const fault = assessPath(path);
    if (fault !== null) throw refused(file, `${JSON.stringify(path.slice(0, 200))} is no path inside it: ${fault}`);
    if ((mode & 0o170000) === LINK) throw refused(file, `${path} is a link`);
    if (members.has(path)) throw refused(file, `${path} is in it twice`);
    const read = (maxBytes: number): Buffer => {
      if (sizeBytes > maxBytes || packed > maxBytes)
        throw damaged(file, `${path} in it has more than ${maxBytes} bytes`);
      const local = readAt(offset, 30);
      if (local.readUInt32LE(0) !== LOCAL) throw damaged(file, `${path} in it is not where it should be`);
      const bytes = readAt(offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28), packed);
      if (method === 0) return bytes;
      if (method !== 8) throw damaged(file, `${path} in it is compressed in an unknown way`);
      try {
        return inflateRawSync(bytes, { maxOutputLength: maxBytes });
      } catch {
        throw damaged(file, `${path} in it cannot be unpacked`);
      }
    };
    members.set(path, { path, sizeBytes, read });
  }
  return members;
}

/** Whether a file starts as zip archives do. */
export function isZip(file: StoredFile): boolean {
  if (file.sizeBytes < END_BYTES) return false;
  const source = openSource(file);
  try {
    return Buffer.from(source.head.buffer, source.head.byteOffset, 4).readUInt32LE(0) === LOCAL;
  } finally {
    source.close();
  }
}

function damaged(file: StoredFile, why: string): SlipwayError {
  return new SlipwayError('model_invalid', `${file.path} is no whole archive: ${why}`, {
    hint: 'Upload the file again in case it was cut off; else save it again.',
  });
}

function refused(file: StoredFile, why: string): SlipwayError {
  return new SlipwayError('model_refused', `${file.path} is refused: ${why}`, {
    hint: 'Make the archive again from plain files.',
  });
}
