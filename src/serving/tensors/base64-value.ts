/** `{"b64": "…"}`: bytes in a JSON body. */
export type Base64Value = { readonly b64: unknown };

export function isBase64Value(value: unknown): value is Base64Value {
  return typeof value === 'object' && value !== null && 'b64' in value;
}

/** The bytes; a sentence when they are none. Base64 as RFC 4648 §4 has it, padding included. */
export function bytesOfBase64(value: Base64Value): Uint8Array | string {
  const { b64, ...others } = value;
  const [other] = Object.keys(others);
  if (other !== undefined) return `has ${other} beside b64, which stands alone`;
  if (typeof b64 !== 'string') return 'must have the bytes under b64 as a string';
  if (b64.startsWith('data:')) return 'must be base64 alone, without the data: and type before it';
  if (b64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(b64)) return 'is not base64';
  return Buffer.from(b64, 'base64');
}
