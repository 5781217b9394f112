import type { StoredFile } from '../validation.ts';
import { detectFormat } from './file-format.ts';
import { openSource } from './stored-source.ts';

/** @throws SlipwayError `model_refused`, `model_unsupported` for what may not lie in an artifact of data */
export function inspect(file: StoredFile): void {
  const source = openSource(file);
  try {
    detectFormat(file.path, source.head, file.sizeBytes);
  } finally {
    source.close();
  }
}
