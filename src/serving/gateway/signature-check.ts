/** What of an AWS signature has to hold, and in which words it is refused: those of AWS, which its clients' users look up. */
import {
  type Authorization,
  isPayloadUnsigned,
  parseAmzDate,
  parseAuthorization,
  type SignedRequest,
} from '../../base/access/sigv4.ts';
import { SlipwayError } from '../../base/errors.ts';

/** How far the time of a signature may be from ours, either way. */
const SKEW_MS = 5 * 60_000;

/** Protocols whose clients know the service by its errors find theirs here. */
export type SignatureFault = { readonly awsCode: string; readonly awsStatus: number };

/**
 * All that can be judged before it is known whose key it is and what the body is.
 * @param service that the signature must be for
 * @throws SlipwayError `signature_invalid`
 */
export function readSignature(headers: SignedRequest['headers'], service: string, nowMs: number): Authorization {
  const authorization = parseAuthorization(String(headers['authorization']));
  if (authorization === null) {
    throw incomplete("Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters");
  }
  const time = String(headers['x-amz-date'] ?? '');
  const timeMs = parseAmzDate(time);
  if (timeMs === null) throw incomplete("Authorization header requires existence of a 'X-Amz-Date' header");
  const { date, signedHeaders } = authorization;
  if (authorization.service !== service) {
    throw invalid(`Credential should be scoped to correct service: '${service}'.`);
  }
  if (!time.startsWith(date)) {
    const whole = `'${time}'`;
    throw invalid(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date}' != '${time.slice(0, 8)}', from ${whole}.`,
    );
  }
  if (!signedHeaders.includes('host') || !signedHeaders.includes('x-amz-date')) {
    throw invalid("'Host' and 'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.");
  }
  if (isPayloadUnsigned(headers)) throw invalid('The body must be part of the signature.');
  if (headers['content-encoding'] !== undefined) throw invalid('A signed body must be sent without Content-Encoding.');
  // The pair of a key is not a session's: nothing here gives out tokens.
  if (headers['x-amz-security-token'] !== undefined) throw unrecognized();
  const earliestMs = nowMs - SKEW_MS;
  const latestMs = nowMs + SKEW_MS;
  if (timeMs < earliestMs) {
    throw invalid(`Signature expired: ${time} is now earlier than ${amzDate(earliestMs)} (${amzDate(nowMs)} - 5 min.)`);
  }
  if (timeMs > latestMs) {
    throw invalid(
      `Signature not yet current: ${time} is still later than ${amzDate(latestMs)} (${amzDate(nowMs)} + 5 min.)`,
    );
  }
  return authorization;
}

export function amzDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

/** One answer for unknown, expired and revoked pairs. */
export function unrecognized(): SlipwayError {
  return fault('The security token included in the request is invalid.', 'UnrecognizedClientException', 403, {
    hint: '`slipway keys create <name> --scope predict --signing` makes a pair.',
  });
}

export function mismatch(): SlipwayError {
  return invalid(
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  );
}

function invalid(message: string): SlipwayError {
  return fault(message, 'InvalidSignatureException', 403);
}

function incomplete(message: string): SlipwayError {
  return fault(message, 'IncompleteSignatureException', 400);
}

function fault(message: string, awsCode: string, awsStatus: number, more: { hint?: string } = {}): SlipwayError {
  const extra: SignatureFault = { awsCode, awsStatus };
  return new SlipwayError('signature_invalid', message, { ...more, extra });
}
