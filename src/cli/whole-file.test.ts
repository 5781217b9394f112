import { expect, test } from 'vitest';
import { wholeFileType } from './whole-file.ts';

test.each([
  ['photo.jpg', undefined, 'image/jpeg'],
  ['a/Photo.JPEG', undefined, 'image/jpeg'],
  ['rows.arrow', undefined, 'application/vnd.apache.arrow.stream'],
  ['rows.csv', undefined, null],
  ['rows', undefined, null],
  ['a.constructor', undefined, null],
  ['-', 'image', 'image/unknown'],
  ['x.bin', 'raw', 'application/octet-stream'],
  ['x.jpg', 'csv', null],
])('%s as %s is sent as %s', (path, format, type) => {
  expect(wholeFileType(path, format)).toBe(type);
});
