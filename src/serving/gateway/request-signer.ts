/** Who asks for a prediction: by a key among the headers, or, where a protocol's clients sign their requests, by a signature over all of it. */
import type { Principal } from '../../base/access/permission.ts';
import { isSigned } from '../../base/access/sigv4.ts';
import type { Exchange } from './exchange.ts';
import type { InferenceAccess } from './inference-access.ts';
import type { Match } from './route-table.ts';

export type RequestSigner = {
  /**
   * Whether only the whole request says who asks. What can be judged of it before is.
   * @throws SlipwayError `signature_invalid`
   */
  waitsForBody(match: Match, headers: Exchange['wire']['headers']): boolean;
  /**
   * @param body null before it is there, which is too early for a signature
   * @throws SlipwayError as `principalOf` and `signerOf` of InferenceAccess do
   */
  principalOf(exchange: Exchange, match: Match, body: Buffer | null): Principal | null;
};

export function createRequestSigner(access: InferenceAccess): RequestSigner {
  return {
    waitsForBody({ protocol: { signedFor } }, headers) {
      if (signedFor === undefined || !isSigned(headers.authorization)) return false;
      access.assessSignature(headers, signedFor);
      return true;
    },
    principalOf({ wire: { headers }, method }, { protocol: { signedFor }, path, query }, body) {
      if (signedFor === undefined || body === null || !isSigned(headers.authorization))
        return access.principalOf(headers);
      return access.signerOf({ method, url: query === '' ? path : `${path}?${query}`, headers, body }, signedFor);
    },
  };
}
