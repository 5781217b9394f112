/** Files that `slipway predict` sends as they are, in one request: pictures, Arrow streams, raw elements. */
export const WHOLE_FORMATS = ['arrow', 'image', 'raw'] as const;
export type WholeFormat = (typeof WHOLE_FORMATS)[number];

const TYPES: Readonly<Record<string, string>> = {
  arrow: 'application/vnd.apache.arrow.stream',
  arrows: 'application/vnd.apache.arrow.stream',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  gif: 'image/gif',
  tif: 'image/tiff',
  tiff: 'image/tiff',
  avif: 'image/avif',
};
/** The server looks at the bytes of a picture, not at its name. */
const TYPE_OF_FORMAT: Readonly<Record<WholeFormat, string>> = {
  arrow: 'application/vnd.apache.arrow.stream',
  image: 'image/unknown',
  raw: 'application/octet-stream',
};

/**
 * The Content-Type of such a file; null for files that are read record by record.
 * @param format what --format says; without it the file's ending decides
 */
export function wholeFileType(path: string, format: string | undefined): string | null {
  if (format !== undefined) return TYPE_OF_FORMAT[format as WholeFormat] ?? null;
  const ending = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase() ?? '';
  return Object.hasOwn(TYPES, ending) ? TYPES[ending]! : null;
}
