import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { SlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../validation.ts';
import { faulty } from './file-fault.ts';
import { HEAD_BYTES } from './file-format.ts';
import type { ByteSource } from './protobuf-cursor.ts';

const MIB = 1024 * 1024;

export type StoredSource = ByteSource & {
  /** The first bytes. */
  readonly head: Uint8Array;
  readonly close: () => void;
};

/** Stored files are ours and never links; whoever put a link there is refused. */
export function openSource(file: StoredFile): StoredSource {
  let fd: number;
  try {
    fd = openSync(file.blobPath, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ELOOP') throw altered(file);
    throw error;
  }
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size !== file.sizeBytes) {
    closeSync(fd);
    throw altered(file);
  }
  const readAt = (target: Uint8Array, position: number): number => readSync(fd, target, 0, target.length, position);
  const head = new Uint8Array(Math.min(HEAD_BYTES, file.sizeBytes));
  readAt(head, 0);
  return { sizeBytes: file.sizeBytes, readAt, head, close: () => closeSync(fd) };
}

function altered(file: StoredFile): SlipwayError {
  return new SlipwayError('artifact_corrupt', `The stored bytes of ${file.path} are gone or were altered`, {
    hint: 'Upload the file again: that puts the right bytes back.',
  });
}

/** A small text file. */
export function readText(file: StoredFile, maxBytes: number): string {
  const bytes = readSmall(file, maxBytes);
  if (isUtf8(bytes) && !bytes.includes(0)) return bytes.toString();
  throw faulty(file.path, [{ pointer: '', message: 'it is not text in UTF-8' }]);
}

/**
 * A small file as a whole.
 * @throws SlipwayError `model_invalid` when it is larger than allowed
 */
export function readSmall(file: StoredFile, maxBytes: number): Buffer {
  if (file.sizeBytes > maxBytes) {
    throw new SlipwayError('model_invalid', `${file.path} is larger than ${maxBytes / MIB} MiB`);
  }
  const source = openSource(file);
  try {
    const bytes = Buffer.alloc(file.sizeBytes);
    for (let at = 0; at < bytes.length; ) {
      const read = source.readAt(bytes.subarray(at), at);
      if (read === 0) throw altered(file);
      at += read;
    }
    return bytes;
  } finally {
    source.close();
  }
}
