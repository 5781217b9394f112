import { type FieldError, SlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../validation.ts';
import { assessPath } from './artifact-path.ts';

/** @throws SlipwayError `invalid_request` with every path that no artifact can have */
export function assertPaths(files: readonly StoredFile[]): void {
  const fields: FieldError[] = [];
  const seen = new Map<string, string>();
  files.forEach((file, at) => {
    const pointer = `/files/${at}/path`;
    const reason = assessPath(file.path);
    if (reason !== null) fields.push({ pointer, message: `is not a path inside an artifact: ${reason}` });
    const folded = file.path.toLowerCase();
    const other = seen.get(folded);
    if (other !== undefined) {
      const how = other === file.path ? 'is there twice' : `differs from ${other} in upper and lower case only`;
      fields.push({ pointer, message: how });
    }
    seen.set(folded, file.path);
  });
  for (const path of seen.values()) {
    const parent = files.find((file) => path.startsWith(`${file.path}/`));
    if (parent) fields.push({ pointer: '/files', message: `${parent.path} is a file and a folder` });
  }
  if (files.length === 0) fields.push({ pointer: '/files', message: 'must have at least one file' });
  if (fields.length > 0) {
    throw new SlipwayError(
      'invalid_request',
      `The list of files is not valid: ${fields[0]!.pointer} ${fields[0]!.message}`,
      {
        fields,
      },
    );
  }
}
